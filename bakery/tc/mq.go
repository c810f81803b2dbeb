package tc

// MQ is the root of a link with several transmit queues: one class 7fff:N per
// queue, which exist as long as it does. It has no options and can't be
// changed.
type MQ struct{}

// Clsact is the place where programs are attached to both directions of a link.
// It has no options; its handle is always ffff: and its parent ffff:fff1.
type Clsact struct{}

// IngressQdisc is the older form of Clsact for arriving packets only.
type IngressQdisc struct{}

// Kind is "mq".
func (MQ) Kind() string { return "mq" }

// String is empty: mq has no options.
func (MQ) String() string { return "" }

func (MQ) fields() []field                        { return nil }
func (o MQ) canonical(Host, string) Options       { return o }
func (o MQ) change(given Options) (Options, bool) { return o, true }

// Kind is "clsact".
func (Clsact) Kind() string { return "clsact" }

// String is empty: clsact has no options.
func (Clsact) String() string { return "" }

func (Clsact) fields() []field                        { return nil }
func (o Clsact) canonical(Host, string) Options       { return o }
func (o Clsact) change(given Options) (Options, bool) { return o, true }

// Kind is "ingress".
func (IngressQdisc) Kind() string { return "ingress" }

// String is empty: ingress has no options.
func (IngressQdisc) String() string { return "" }

func (IngressQdisc) fields() []field                        { return nil }
func (o IngressQdisc) canonical(Host, string) Options       { return o }
func (o IngressQdisc) change(given Options) (Options, bool) { return o, true }

func parseMQ(w *words) Options      { return optionless(w, MQ{}) }
func parseClsact(w *words) Options  { return optionless(w, Clsact{}) }
func parseIngress(w *words) Options { return optionless(w, IngressQdisc{}) }

// optionless reads the options of a kind that has none.
func optionless(w *words, o Options) Options {
	if w.next() {
		w.unknown()
	}
	return o
}
