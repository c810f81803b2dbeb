package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// tcShell is one tc(8) that takes lines for as long as it lives: to start one for each would cost more than all else.
type tcShell struct {
	in    io.WriteCloser
	out   *bufio.Reader
	marks int
	end   func() error
}

func startTCShell(ctx context.Context) (*tcShell, error) {
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "tc", "-d", "-force", "-batch", "-")
	cmd.Stdout, cmd.Stderr = w, w // in one order
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	end := func() error {
		_ = in.Close()
		_ = cmd.Wait() // it ends with an error, for the marks are no lines of tc(8)
		return out.Close()
	}
	return &tcShell{in: in, out: bufio.NewReader(out), end: end}, nil
}

// run gives lines to tc(8), and returns what it shows, and what it says about those that were refused.
func (s *tcShell) run(lines ...string) (shown, refused []string, err error) {
	s.marks++
	mark := fmt.Sprintf("mark%d", s.marks) // tc(8) doesn't know it, and says so at once
	if _, err := io.WriteString(s.in, strings.Join(append(lines, mark, ""), "\n")); err != nil {
		return nil, nil, err
	}
	said := ""
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return nil, nil, fmt.Errorf("tc(8) has ended: %w", err)
		}
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "Command failed"):
			if strings.Contains(said, mark) {
				return shown, refused, nil
			}
			refused = append(refused, said)
		case strings.HasPrefix(line, "qdisc "), strings.HasPrefix(line, "class "):
			shown = append(shown, line)
		case line != "":
			said = line
		}
	}
}

// do gives lines to tc(8) that must not be refused.
func (s *tcShell) do(lines ...string) error {
	_, refused, err := s.run(lines...)
	if err == nil && len(refused) > 0 {
		err = fmt.Errorf("%q: %q", lines, refused)
	}
	return err
}

// spot is where a class or qdisc is: a class's id, the place of a qdisc.
type spot struct {
	link  string
	class bool
	at    string // "1:5", "root"
}

// shownObject is what tc(8) shows of a qdisc or class, in its words.
type shownObject struct {
	kind, handle string
	parent       string            // of a class
	fields       map[string]string // by the names that lqosd has for them
}

// tcView is all that tc(8) shows.
type tcView map[spot]shownObject

// view asks for the classes of one htb after the other: asked for those of a link, Linux 6.1 leaves some out where there are
// cakes.
func (s *tcShell) view(links ...string) (tcView, error) {
	v := tcView{}
	for _, link := range links {
		if err := s.show(v, link, "qdisc show dev "+link); err != nil {
			return nil, err
		}
		var classes []string
		for p, o := range v {
			if p.link == link && o.kind == "htb" {
				classes = append(classes, "class show dev "+link+" parent "+o.handle)
			}
		}
		if err := s.show(v, link, classes...); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// show takes what lines of tc(8) show.
func (s *tcShell) show(v tcView, link string, lines ...string) error {
	shown, refused, err := s.run(lines...)
	if err == nil && len(refused) > 0 {
		err = fmt.Errorf("tc(8) doesn't show %s: %q", link, refused)
	}
	for _, line := range shown {
		v.take(link, strings.Fields(line))
	}
	return err
}

// take takes one line: "class htb 1:5 parent 1:3 leaf 8001: prio 3 …", "qdisc pfifo 8001: parent 1:5 limit 9p".
func (v tcView) take(link string, w []string) {
	o := shownObject{kind: w[1], handle: w[2]}
	at, rest := "root", w[4:]
	if w[3] == "parent" {
		at, rest = w[4], w[5:]
	}
	if w[0] == "qdisc" {
		if w[2] != "0:" { // the kernel put it there
			o.fields = fieldsOf(o.kind, rest)
			v[spot{link, false, at}] = o
		}
		return
	}
	if o.kind != "htb" {
		return
	}
	if o.parent = at; at == "root" {
		major, _, _ := strings.Cut(o.handle, ":")
		o.parent = major + ":"
	}
	o.fields = fieldsOf("class", rest)
	v[spot{link, true, o.handle}] = o
}

// sits gives what an object sits in; false for what sits on the link itself.
func (v tcView) sits(p spot, o shownObject) (spot, bool) {
	parent := p.at
	if p.class {
		parent = o.parent
	}
	if parent == "root" || strings.HasPrefix(parent, "ffff:") {
		return spot{}, false
	}
	if in := (spot{p.link, true, parent}); v.has(in) {
		return in, true
	}
	major, _, _ := strings.Cut(parent, ":")
	for in, q := range v {
		if in.link == p.link && !in.class && q.handle == major+":" {
			return in, true
		}
	}
	return spot{}, false
}

func (v tcView) has(p spot) bool { _, ok := v[p]; return ok }

// below lists the classes directly below a class or an HTB ("1:").
func (v tcView) below(link, parent string) (list []spot) {
	for p, o := range v {
		if p.class && p.link == link && o.parent == parent {
			list = append(list, p)
		}
	}
	return list
}

// valued are the words with a value that tc(8) shows, by kind; tcNames are those that lqosd has another name for.
var valued = map[string]string{
	"class":    "rate ceil prio quantum overhead linklayer burst cburst mpu",
	"htb":      "r2q default direct_qlen",
	"pfifo":    "limit",
	"bfifo":    "limit",
	"tbf":      "rate burst mpu peakrate minburst lat overhead linklayer limit",
	"sfq":      "limit quantum depth divisor perturb flows",
	"codel":    "limit target interval ce_threshold",
	"fq_codel": "limit flows quantum target interval ce_threshold memory_limit drop_batch",
	"fq":       "limit flow_limit buckets orphan_mask quantum initial_quantum maxrate low_rate_threshold refill_delay timer_slack horizon ce_threshold",
	"cake":     "bandwidth rtt overhead mpu memlimit fwmark",
	"netem":    "limit delay",
}

var tcNames = map[string]string{"minburst": "mtu", "lat": "limit"}

// lone are the words without a value, by kind, and the field that each tells. The first is what goes without saying.
var lone = map[string]map[string]string{
	"cake": {"diffserv": "diffserv3 diffserv4 diffserv8 besteffort precedence", "nat": "nonat nat", "wash": "nowash wash",
		"flow-mode": "triple-isolate flowblind srchost dsthost hosts flows dual-srchost dual-dsthost",
		"ingress":   "egress ingress", "ack-filter": "no-ack-filter ack-filter ack-filter-aggressive", "split-gso": "no-split-gso split-gso",
		"raw": "- raw", "atm": "noatm atm ptm", "autorate": "- autorate-ingress"},
	"codel":    {"ecn": "noecn ecn"},
	"fq_codel": {"ecn": "noecn ecn"},
	"fq":       {"pacing": "pacing nopacing", "horizon-policy": "horizon_drop horizon_cap"},
	"sfq":      {"headdrop": "- headdrop"},
}

// fieldsOf reads the words of a kind's options. Of a kind that isn't here nothing is read.
func fieldsOf(kind string, w []string) map[string]string {
	fields := map[string]string{}
	for i := 0; i < len(w); i++ {
		word := " " + w[i] + " "
		if strings.Contains(" "+valued[kind]+" ", word) && i+1 < len(w) {
			name := w[i]
			if tcNames[name] != "" {
				name = tcNames[name]
			}
			i++
			fields[name] = w[i]
			continue
		}
		for name, words := range lone[kind] {
			if strings.Contains(" "+words+" ", word) {
				fields[name] = w[i]
			}
		}
	}
	return fields
}

// said gives a field as lqosd may say it, where tc(8) shows nothing for what goes without saying.
func said(kind, name, value string) string {
	if words := lone[kind][name]; value == "" && words != "" {
		value, _, _ = strings.Cut(words, " ")
	}
	if value == "-" {
		return ""
	}
	return value
}

var units = map[string]float64{"": 1, "p": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30,
	"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12, "ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6, "sec": 1}

// amount reads "10Mbit", "4998b/1", "5ms", "0x2"; false for a word.
func amount(text string) (float64, bool) {
	text, _, _ = strings.Cut(strings.ToLower(text), "/")
	if text == "" {
		return 0, true
	}
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 64)
		return float64(n), err == nil
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '-' })
	if end < 0 {
		end = len(text)
	}
	n, err := strconv.ParseFloat(text[:end], 64)
	unit, known := units[text[end:]]
	return n * unit, err == nil && known
}

// alike reports two texts for one value, with so many bytes of slack in bursts: tc(8) rounds what it shows.
func alike(name, a, b string, slack float64) bool {
	x, ok := amount(a)
	y, also := amount(b)
	if !ok || !also {
		return a == b
	}
	switch {
	case !strings.ContainsAny(strings.ToLower(a+b), "bs"): // neither bytes, bits nor seconds: counts are shown as they are
		slack = 0
	case name != "burst" && name != "cburst" && name != "mtu":
		slack = 0.003 * max(math.Abs(x), math.Abs(y))
	}
	return math.Abs(x-y) <= slack
}

// burstSlack is how far a burst that tc(8) shows can be off, in bytes: it cuts times off to whole microseconds, twice, and
// shows what is near a whole Kb as that.
func burstSlack(shown ...map[string]string) float64 {
	fastest := 0.0
	for _, fields := range shown {
		for _, name := range []string{"rate", "ceil", "peakrate"} {
			if bits, ok := amount(fields[name]); ok {
				fastest = max(fastest, bits)
			}
		}
	}
	return 17 + 3*fastest/8e6
}
