package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// Kinds of FuzzMessage that are none of a qdisc.
const (
	aDatagram = "datagram"
	aClass    = "class"
	anObject  = "object"
)

// FuzzMessage gives arbitrary bytes to everything that reads what a kernel sends: datagrams of
// dumps, acks and notices, and the options of each kind of qdisc and of classes. They give an
// error, or what can be encoded and is read back as it was.
func FuzzMessage(f *testing.F) {
	for _, line := range kindLines {
		op, err := tc.ParseLine("qdisc add dev v0 root " + line)
		if err != nil {
			f.Fatal(err)
		}
		b, err := codecs[op.Qdisc.Options.Kind()].encode(nil, op.Qdisc.Options, encoding{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(op.Qdisc.Options.Kind(), b)
	}
	f.Add("htb", []byte{})
	class := encodeClass(nil, tc.HTBClass{Rate: 100 * tc.Gbit}, tc.Host{})
	f.Add(aClass, class[4:])
	f.Add(anObject, appendKind(header{index: 1}.append(nil), "htb"))
	f.Add(aDatagram, datagram(2, 0x300, append(make([]byte, 20), appendKind(nil, "quantum of class 10001 is big")...)))
	f.Add(aDatagram, datagram(2, 0x200, []byte{0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
	f.Add(aDatagram, append(datagram(unix.RTM_NEWTCLASS, 2, append(appendKind(header{index: 1}.append(nil), "htb"), class...)),
		datagram(unix.RTM_NEWLINK, 0, appendBytes(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_IFNAME, []byte("v0\x00")))...))
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		switch kind {
		case aDatagram:
			fuzzDatagram(b)
		case aClass:
			fuzzClass(t, b)
		case anObject:
			if o, err := readObject(b); err == nil {
				_, _ = o.qdisc("v0", tc.Host{})
				_, _ = o.class("v0", tc.Host{})
			}
		default:
			fuzzOptions(t, kind, b)
		}
	})
}

// datagram is one message.
func datagram(typ, flags uint16, body []byte) []byte {
	b := native.AppendUint32(nil, uint32(messageHeader+len(body)))
	b = native.AppendUint16(native.AppendUint16(b, typ), flags)
	b = append(append(b, make([]byte, 8)...), body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func fuzzDatagram(b []byte) {
	w := watcher{own: 7, changed: func(string) {}, links: map[int]seen{1: {name: "v0", there: true}}}
	_, _ = eachMessage(b, func(m netlink.Message) bool {
		verdict(m)
		_, _ = part(m, func(o object) error {
			_, err := o.qdisc("v0", tc.Host{})
			return err
		})
		w.notice(m)
		return concerns(m.Data, map[int]string{9: "v9"})
	})
}

func fuzzClass(t *testing.T, b []byte) {
	var host tc.Host
	c, err := decodeClass(b, host)
	if err != nil || c.Rate == 0 || c.Ceil == 0 {
		return
	}
	again, err := decodeClass(encodeClass(nil, c, host)[4:], host)
	if err != nil {
		t.Fatalf("%+v can't be read back: %v", c, err)
	}
	again.Burst, again.Cburst = c.Burst, c.Cburst // in ticks of the clock, which depend on the rate
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

// fuzzOptions: what the kernel would report of the canonical form is that form, as in TestCodecsRoundTrip.
func fuzzOptions(t *testing.T, kind string, b []byte) {
	var host tc.Host
	first, err := decodeOptions(kind, b, host)
	if err != nil || foreign(first) {
		return
	}
	s, err := tc.NewState("v0", []tc.Qdisc{{Link: "v0", Handle: tc.NewHandle(1, 0), Parent: tc.Root, Options: first}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, _ := tc.Canonical(s, host).Qdisc("v0", tc.Root)
	value, err := codecs[kind].encode(nil, q.Options, encoding{host: host})
	if err != nil {
		return
	}
	again, err := decodeOptions(kind, value, host)
	if err != nil {
		t.Fatalf("%#v can't be read back: %v", q.Options, err)
	}
	if kind == "tbf" || kind == "netem" || kind == "sfq" {
		return // their numbers are made of each other: TestReadBack has those that mean something
	}
	if want := reported(q.Options); again != want {
		t.Errorf("%#v is read back as %#v", want, again)
	}
}

func foreign(o tc.Options) bool {
	_, is := o.(tc.Foreign)
	return is
}
