package kernel

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
	"lqosd/internal/testenv"
)

var update = flag.Bool("update", false, "ask tc(8), under strace(1), what it sends")

// goldenLines are what tc(8) was asked to do for the golden.
func goldenLines() []string {
	lines := []string{"qdisc add dev lo root handle 7fff: mq", "qdisc replace dev lo root handle 7fff: mq", "qdisc delete dev lo root handle 7fff:",
		"qdisc add dev lo clsact", "qdisc delete dev lo clsact", "qdisc add dev lo ingress", "qdisc delete dev lo parent 1:5 handle 8001:",
		"qdisc add dev lo root handle 1: htb default 2", "qdisc add dev lo parent 7fff:1 handle 1: htb default 1f r2q 100 direct_qlen 50 offload",
		"class add dev lo parent 1: classid 1:1 htb rate 20mbit", "class replace dev lo parent 1: classid 1:1 htb rate 20mbit ceil 40mbit quantum 1522 prio 3",
		"class change dev lo parent 1:2 classid 1:1 htb rate 100gbit ceil 200gbit burst 5k cburst 9k mpu 64 overhead 10 linklayer atm",
		"class add dev lo parent 1:2 classid 1:1 htb rate 1mbit ceil 9gbit mtu 9000", "class delete dev lo classid 1:1",
		"qdisc change dev lo parent 1:5 handle 8001: fq_codel limit 7", "qdisc change dev lo parent 1:5 handle 8001: cake bandwidth 5mbit", "qdisc change dev lo parent 1:5 handle 8001: pfifo limit 7"}
	for _, kind := range kindLines {
		lines = append(lines, "qdisc add dev lo parent 1:5 handle 8001: "+kind)
	}
	return lines
}

const goldenFile = "testdata/tc.golden"

// TestMessagesOfTC compares the messages with those that tc(8) sends for the same line. The
// golden has a tc line and then its message, in hex, on each two lines; -update makes it.
func TestMessagesOfTC(t *testing.T) {
	if *update {
		testenv.InNetns(t, updateGolden)
	}
	golden, err := os.Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = golden.Close() }()
	n := 0
	for s := bufio.NewScanner(golden); s.Scan(); n++ {
		line := s.Text()
		s.Scan()
		theirs, err := hex.DecodeString(s.Text())
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		op, err := tc.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := encodeOp(make([]byte, 8), op, 1, tc.Host{}) // behind another one
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		ours := native.AppendUint32(nil, uint32(16+len(m.Data)))
		ours = native.AppendUint16(ours, uint16(m.Header.Type))
		ours = native.AppendUint16(ours, uint16(m.Header.Flags))
		ours = append(append(ours, make([]byte, 8)...), m.Data...)
		if d := cmp.Diff(explain(t, theirs), explain(t, ours)); d != "" {
			t.Errorf("%s (-tc +ours):\n%s", line, d)
		}
	}
	if n != len(goldenLines()) {
		t.Errorf("the golden has %d messages for %d lines: go test -update", n, len(goldenLines()))
	}
}

// explain is a message with its attributes in order of their types. Rate tables, how they are
// laid out, and empty lists, none of which a kernel looks at, are left out.
func explain(t *testing.T, b []byte) []string {
	t.Helper()
	if len(b) < 36 {
		t.Fatalf("a message of %d bytes", len(b))
	}
	h, err := readHeader(b[16:])
	if err != nil {
		t.Fatal(err)
	}
	list := []string{fmt.Sprintf("type %#x flags %#x index %d handle %v parent %v", native.Uint16(b[4:]), native.Uint16(b[6:]), h.index, h.handle, h.parent)}
	kind := ""
	err = eachAttribute(b[36:], func(a *netlink.AttributeDecoder) {
		if a.Type() == tcaKind {
			kind = a.String()
			list = append(list, "kind "+kind)
			return
		}
		options := a.Bytes()
		if kind == "pfifo" || kind == "bfifo" || kind == "sfq" {
			list = append(list, "options "+hex.EncodeToString(options))
			return
		}
		if kind == "netem" {
			list = append(list, "netem "+hex.EncodeToString(options[:netemBasic]))
			options = options[netemBasic:]
		}
		var attributes []string
		if err := eachAttribute(options, func(a *netlink.AttributeDecoder) {
			value := bytes.Clone(a.Bytes())
			if kind == "htb" && a.Type() == htbParms || kind == "tbf" && a.Type() == tbfParms {
				value[0], value[4], value[5], value[12], value[16], value[17] = 0, 0, 0, 0, 0, 0 // cell_log, cell_align
			}
			if kind == "tbf" && a.Type() == tbfParms {
				clear(value[28:36]) // bursts, computed from 32 bits of the rate; a kernel takes tbfBurst instead
			}
			noCorrelation := kind == "netem" && a.Type() == netemCorr && len(bytes.Trim(value, "\x00")) == 0
			if len(value) != 1024 && !noCorrelation {
				attributes = append(attributes, fmt.Sprintf("attribute %2d %s", a.Type()|a.TypeFlags(), hex.EncodeToString(value)))
			}
		}); err != nil {
			t.Error(err)
		}
		slices.Sort(attributes)
		list = append(list, attributes...)
	})
	if err != nil {
		t.Error(err)
	}
	return list
}

var tables = regexp.MustCompile(`(?m)^ \| [0-9a-f]+  ((?:[0-9a-f]{2} +)+)`)

// updateGolden writes what tc(8) sends; whether the kernel takes it doesn't matter.
func updateGolden(t *testing.T) {
	var out bytes.Buffer
	for _, line := range goldenLines() {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command("strace", append([]string{"-o", trace, "-e", "trace=sendmsg", "-e", "write=3", "tc"}, strings.Fields(line)...)...)
		_ = cmd.Run() // mostly refused
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		sent := text[bytes.LastIndex(text, []byte("sendmsg(3")):]
		var message []byte
		for _, dump := range tables.FindAllSubmatch(sent, -1) {
			b, err := hex.DecodeString(strings.ReplaceAll(string(dump[1]), " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			message = append(message, b...)
		}
		clear(message[8:16]) // sequence and port
		fmt.Fprintf(&out, "%s\n%x\n", line, message)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
