package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lqosd/bus"
)

// insult is input that must harm nothing.
type insult struct {
	name   string
	raw    []byte // what is sent after the handshake
	answer string // a regexp for the first answer; "": the connection is closed without one
	cut    bool   // the client ends its direction within a frame; otherwise the server must make the end
}

func insults() []insult {
	head := func(id, length uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, id), length)
	}
	chunk := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	// {"requests": …}, the value to follow
	requests := append([]byte{0xa1, 0x68}, "requests"...)
	session := func(value ...byte) []byte { return frame(1, cat(requests, value)) }
	text := func(s string) []byte { return frame(1, []byte(s)) }
	return []insult{
		{"half a header", head(1, 100)[:9], "", true},
		{"half a frame", cat(head(1, 100), chunk(50), make([]byte, 20)), "", true},
		{"64 MiB and one byte", head(1, 64<<20+1), "", false},
		{"the longest length there is", head(1, 1<<64-1), "", false},
		{"64 MiB announced, little sent", cat(head(1, 64<<20), chunk(8192), make([]byte, 8192)), "", true},
		{"an empty chunk", cat(head(1, 5), chunk(0)), "", false},
		{"a chunk of 8193", cat(head(1, 10000), chunk(8193), make([]byte, 8193)), "", false},
		{"a chunk over the payload", cat(head(1, 5), chunk(6), make([]byte, 6)), "", false},
		{"an empty payload", head(1, 0), `Fail.*empty`, false},
		{"deep arrays", session(bytes.Repeat([]byte{0x81}, 100_000)...), `Fail.*nest`, false},
		{"deep maps", session(bytes.Repeat([]byte{0xa1, 0x61, 'a'}, 100_000)...), `Fail.*nest`, false},
		{"deep indefinite arrays", session(bytes.Repeat([]byte{0x9f}, 100_000)...), `Fail.*nest`, false},
		{"deep JSON", text(`{"requests":` + strings.Repeat("[", 100_000)), `Fail.*nest`, false},
		{"an array of 2^32-1", session(0x9a, 0xff, 0xff, 0xff, 0xff), `Fail`, false},
		{"an array of 2^64-1", session(0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), `Fail`, false},
		{"a map of 2^62", session(0xbb, 0x40, 0, 0, 0, 0, 0, 0, 0), `Fail`, false},
		{"text of 2^63", session(0x81, 0x7b, 0x80, 0, 0, 0, 0, 0, 0, 0), `Fail`, false},
		{"bytes of 2^40", session(0x81, 0x5b, 0, 0, 1, 0, 0, 0, 0, 0), `Fail`, false},
		{"a million nulls", session(append([]byte{0x9a, 0, 0x0f, 0x42, 0x40}, bytes.Repeat([]byte{0xf6}, 1_000_000)...)...), `Fail`, false},
		{"text that is not UTF-8", session(0x81, 0x62, 0xff, 0xfe), `Fail.*utf-8`, false},
		{"JSON that is not UTF-8", text("{\"requests\":[\"\xff\xfe\"]}"), `Fail.*utf-8`, false},
		{"a tag", session(0x81, 0xc0, 0x64, 'P', 'i', 'n', 'g'), `Fail.*tag`, false},
		{"reserved bytes", session(0x81, 0x1c), `Fail`, false},
		{"it ends early", session(0x82, 0x64, 'P', 'i', 'n', 'g'), `Fail`, false},
		{"too much at the end", session(0x80, 0x00), `Fail`, false},
		{"a number", frame(1, []byte{0x05}), `Fail`, false},
		{"not JSON", text(`{"requests":[`), `Fail.*json`, false},
		{"JSON, a huge number", text(`{"requests":[{"DelIpFlow":{"ip_address":"192.0.2.1","upload":1e999999999}}]}`), `Fail`, false},
	}
}

// badCommands are well-formed requests that must be refused, and not logged.
func badCommands() map[string]string {
	const class = `{"BakeryAddStructuralHTBClass":{"interface":%q,"parent":%q,"classid":%q,"rate_mbps":%s,"ceil_mbps":%s,"site_hash":1,"r2q":%s}}`
	tcs := func(line string) string {
		b, err := json.Marshal(line)
		if err != nil {
			panic(err)
		}
		return `{"BakeryExecuteTCCommands":{"commands":[` + string(b) + `],"force_mode":false}}`
	}
	return map[string]string{
		`negative`:                       fmt.Sprintf(class, "eth1", "0x1:", "0x9", "-1", "10", "10"),
		`r2q|r2Q|R2Q`:                    fmt.Sprintf(class, "eth1", "0x1:", "0x9", "1", "10", "0"),
		`(parent|0x1:0x77|1:77)`:         fmt.Sprintf(class, "eth1", "0x1:0x77", "0x9", "1", "10", "10"),
		`link "eth7" is not managed`:     fmt.Sprintf(class, "eth7", "0x1:", "0x9", "1", "10", "10"),
		`link "sixteen-letters-"`:        fmt.Sprintf(class, "sixteen-letters-", "0x1:", "0x9", "1", "10", "10"),
		`link "eth1\\n`:                  fmt.Sprintf(class, "eth1\n", "0x1:", "0x9", "1", "10", "10"),
		`class id "0x12345": want a hex`: fmt.Sprintf(class, "eth1", "0x1:", "0x12345", "1", "10", "10"),
		`unknown request BakeryNonsense`: `{"BakeryNonsense":{"a":1}}`,
		`site_hash: want an integer`:     `{"BakeryAddStructuralHTBClass":{"interface":"eth1","parent":"0x1:","classid":"0x9","rate_mbps":1,"ceil_mbps":1,"site_hash":"x","r2q":10}}`,
		`rate_mbps: missing`:             `{"BakeryAddStructuralHTBClass":{"interface":"eth1","parent":"0x1:","classid":"0x9","ceil_mbps":1,"site_hash":1,"r2q":10}}`,
		`"nowhere" is no IP address`:     `{"MapIpToFlow":{"ip_address":"nowhere","tc_handle":65540,"cpu":0,"upload":false}}`,
		`not a class`:                    `{"MapIpToFlow":{"ip_address":"192.0.2.1","tc_handle":0,"cpu":0,"upload":false}}`,
		`is not within 0..4294967295`:    `{"MapIpToFlow":{"ip_address":"192.0.2.1","tc_handle":4294967296,"cpu":0,"upload":false}}`,
		`control character`:              tcs("qdisc add dev eth1 root\nqdisc del dev eth1 root"),
		`empty line`:                     tcs("   "),
		`"lo" is not managed`:            tcs("qdisc add dev lo root pfifo"),
		`parent|no such`:                 tcs("class add dev eth1 parent 1:99 classid 1:98 htb rate 1mbit"),
		`rate`:                           tcs("class add dev eth1 parent 1: classid 1:98 htb rate -1mbit"),
	}
}

// memory is the most that a process ever had in memory, in KiB: VmHWM of proc(5).
func memory(t testing.TB, pid int) int {
	t.Helper()
	text := mustRead(t, fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no VmHWM in %s", text)
	}
	kib, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

func lastSeq(t testing.TB, p place) uint64 {
	t.Helper()
	var s statusReply
	if err := connect(t, p, bus.CBOR).Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
		t.Fatal(err)
	}
	return s.LastSeq
}

// TestAbuse sends a daemon what no client should: it answers or closes the connection, and nothing else happens.
func TestAbuse(t *testing.T) {
	p := newPlace(t, "example")
	d := p.startServing(t, program(t, "lqosd"))
	mustPlay(t, connect(t, p, bus.CBOR), trace(t, "example", "trace.jsonl"), 0)
	lines := p.tcFile(t)
	seq := lastSeq(t, p)
	before := memory(t, d.cmd.Process.Pid)
	for range 5 {
		for _, b := range insults() {
			t.Run(b.name, func(t *testing.T) { b.try(t, p) })
		}
		t.Run("another greeting", func(t *testing.T) { tryGreeting(t, p) })
		for why, request := range badCommands() {
			t.Run(why, func(t *testing.T) { tryCommand(t, p, why, request) })
		}
		t.Run("numbers that JSON can't say", func(t *testing.T) { tryFloats(t, p) })
	}
	after := memory(t, d.cmd.Process.Pid)
	t.Logf("at most %d KiB before, %d KiB after", before, after)
	if grown := after - before; grown > 12<<10 {
		t.Errorf("the daemon took %d KiB more", grown)
	}
	if got := lastSeq(t, p); got != seq {
		t.Errorf("the log ends at %d, want %d", got, seq)
	}
	if p.tcFile(t) != lines {
		t.Error("tc-rust.txt has changed")
	}
	d.terminate(t)
	if strings.Contains(d.String(), "panic") || strings.Contains(d.String(), "level=ERROR") {
		t.Errorf("the daemon logs trouble:\n%s", d)
	}
}

func (b insult) try(t *testing.T, p place) {
	w := dialWire(t, p)
	// The server may close before it has all.
	if _, err := w.Write(b.raw); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if b.cut {
		if err := w.Conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	_, payload, err := w.answer()
	if b.answer == "" {
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("answer %q, %v, want a closed connection", payload, err)
		}
		return
	}
	if err != nil || !regexp.MustCompile(b.answer).Match(payload) {
		t.Errorf("answer %q, %v, want %s", payload, err, b.answer)
	}
}

func tryGreeting(t *testing.T, p place) {
	w := dialWireRaw(t, p)
	w.send([]byte("GET / HTTP/1.1\r\n\r\n"))
	rest, err := io.ReadAll(w)
	if len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("answer %q, %v, want a closed connection", rest, err)
	}
}

// tryCommand sends a bad command between two good requests.
func tryCommand(t *testing.T, p place, why, request string) {
	c := connect(t, p, bus.JSON)
	call, err := bus.ParseCall([]byte(request))
	if err != nil {
		t.Fatal(err)
	}
	replies, err := c.Do(t.Context(), bus.Call{Name: "Ping"}, call, bus.Call{Name: "GetBakeryStats"})
	if err != nil {
		t.Fatal(err)
	}
	fail := replies[1].Err()
	if fail == nil || !regexp.MustCompile(why).MatchString(fail.Error()) {
		t.Errorf("%s: got %v %v, want Fail with %q", request, replies[1].Name, fail, why)
	}
	if !replies[0].IsAck() || replies[2].Name != "BakeryActiveCircuits" {
		t.Errorf("the others got %v and %v", replies[0], replies[2])
	}
}

// tryFloats sends NaN and the infinities, which only CBOR can say.
func tryFloats(t *testing.T, p place) {
	const request = "BakeryAddStructuralHTBClass"
	for _, f := range [][]byte{{0xf9, 0x7e, 0x00}, {0xf9, 0x7c, 0x00}, {0xf9, 0xfc, 0x00},
		{0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1}, {0xfa, 0xff, 0x80, 0, 0}} {
		doc := append([]byte{0xa1, 0x68}, "requests\x81\xa1\x78\x1b"+request+"\xa7"...)
		text := func(s string) { doc = append(append(doc, 0x60|byte(len(s))), s...) }
		for _, kv := range [][2]string{{"interface", "eth1"}, {"parent", "0x1:"}, {"classid", "0x9"}} {
			text(kv[0])
			text(kv[1])
		}
		text("rate_mbps")
		doc = append(doc, f...)
		text("ceil_mbps")
		doc = append(doc, 0x01)
		text("site_hash")
		doc = append(doc, 0x01)
		text("r2q")
		doc = append(doc, 0x0a)
		w := dialWire(t, p)
		w.send(frame(1, doc))
		_, payload, err := w.answer()
		if err != nil || !regexp.MustCompile(`Fail.*(NaN|[Ii]nf)`).Match(payload) {
			t.Errorf("% x: answer %q, %v", f, payload, err)
		}
	}
}
