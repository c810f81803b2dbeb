package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
)

// head is what a client of the second generation sent: the batch, then its addresses.
func (f *field) head() []golden.Request {
	f.t.Helper()
	return append(trace(f.t, f.name, "trace-head.jsonl"), trace(f.t, f.name, "ip-head.jsonl")...)
}

// TestHeadOnTheKernel: recorded batches reach the kernel and the maps; the same again writes nothing, nor does a restart; one
// circuit that changed is all that is written; and tc(8) builds the same of the state form.
func TestHeadOnTheKernel(t *testing.T) {
	for _, name := range []string{"example", "stick_flat", "tree3_frac", "n1000"} {
		t.Run(name, func(t *testing.T) {
			inMappedField(t, name, func(f *field) { f.headOnTheKernel() }, settlesSoon)
		})
	}
}

func (f *field) headOnTheKernel() {
	end := f.serve()
	head := f.head()
	f.play(head)
	f.sameAsLog()
	built := f.show()
	writes := f.status().Dataplane.Writes
	if n := f.status().Kernel.Steering.Entries; n == 0 || writes == 0 {
		f.t.Errorf("%d entries of the maps, %d writes", n, writes)
	}
	f.watch.count()
	f.play(head[:slices.IndexFunc(head, func(r golden.Request) bool { return r.Name == "MapIpToFlow" })])
	f.play(head)
	f.wrote("the same again", 0)
	if again := f.status().Dataplane.Writes; again != writes {
		f.t.Errorf("the same again wrote %d entries of the maps", again-writes)
	}
	f.shows(built)

	var id uint32
	f.play(editCircuit(f.t, head, 1, func(args map[string]any) {
		id = f.number(args["class_major"])<<16 | f.number(args["class_minor"])
		args["download_bandwidth_max"] = 777
	}))
	f.wroteOnly(fmt.Sprintf("new class %x ", id))
	if again := f.status().Dataplane.Writes; again != writes {
		f.t.Errorf("another speed wrote %d entries of the maps", again-writes)
	}
	changed := f.show()
	end()
	end = f.serve()
	f.applied()
	f.wrote("a restart", 0)
	if again := f.status().Dataplane.Writes; again != 0 {
		f.t.Errorf("a restart wrote %d entries of the maps", again)
	}
	f.sameAsLog()
	end()
	f.buildsTheSame(changed)
}

// buildsTheSame gives the state form of the log to tc(8), in place of what is there.
func (f *field) buildsTheSame(want string) {
	f.t.Helper()
	state := f.render(f.t, "--form", "state")
	f.clear()
	f.tcBatch(state)
	f.shows(want)
}

func (f *field) number(v any) uint32 {
	f.t.Helper()
	n, err := v.(json.Number).Int64()
	if err != nil {
		f.t.Fatal(err)
	}
	return uint32(n)
}

// wroteOnly wants one write to the kernel since the last count, that begins so.
func (f *field) wroteOnly(want string) {
	f.t.Helper()
	if got := f.watch.count(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		f.t.Errorf("%d writes to the kernel, %v, want one: %q", len(got), got[:min(len(got), 10)], want)
	}
}

// TestGenerationsTakeTurns plays a client of one generation over the live tree of another, and back: the kernel has what the
// last one asked.
func TestGenerationsTakeTurns(t *testing.T) {
	for _, name := range []string{"example", "tree3_frac"} {
		t.Run(name, func(t *testing.T) {
			inMappedField(t, name, func(f *field) {
				asked := map[string][]golden.Request{
					"first": append(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...), f.moreOfFirst()...),
					"head":  f.moreOfHead(f.head()),
				}
				wanted := map[string]string{}
				for what, requests := range asked {
					wanted[what] = f.alone(requests)
				}
				if wanted["first"] == wanted["head"] {
					f.t.Error("both generations ask for the same: nothing is proven")
				}
				f.serve()
				for round, what := range []string{"head", "first", "head", "first"} {
					f.play(asked[what])
					if got := f.shape(); got != wanted[what] {
						d := cmp.Diff(strings.Split(wanted[what], "\n"), strings.Split(got, "\n"))
						f.t.Errorf("round %d, %s, is not what it is alone:\n%s", round+1, what, d[:min(len(d), 4000)])
					}
					f.sameAsLog()
				}
			}, settlesSoon)
		})
	}
}

// settlesSoon is for tests that wait often until the commands have ended.
func settlesSoon(c *lqosconf.Config) { c.Bakery.SettleMS = 200 }

// moreOfFirst is a circuit that the client of the first generation alone has, moreOfHead one that the second's has.
func (f *field) moreOfFirst() []golden.Request {
	f.t.Helper()
	var more []golden.Request
	for _, r := range []string{`"BakeryAddStructuralHTBClass":{"interface":"eth1","parent":"0x1:","classid":"0xf00","rate_mbps":5,"ceil_mbps":50,"site_hash":-15,"r2q":10}`,
		`"BakeryAddCircuitHTBClass":{"interface":"eth1","parent":"0x1:0xf00","classid":"0xf01","rate_mbps":5,"ceil_mbps":50,"circuit_hash":15,"comment":"first","r2q":10}`,
		`"BakeryAddCircuitQdisc":{"interface":"eth1","parent_major":1,"parent_minor":3841,"circuit_hash":15,"sqm_params":["pfifo"]}`,
		`"MapIpToFlow":{"ip_address":"192.0.2.15","tc_handle":69377,"cpu":0,"upload":false}`} {
		more = append(more, asRequest(f.t, r))
	}
	return more
}

func (f *field) moreOfHead(head []golden.Request) []golden.Request {
	f.t.Helper()
	at := slices.IndexFunc(head, func(r golden.Request) bool { return r.Name == "BakeryCommit" })
	var more []golden.Request
	for _, r := range []string{newSite(1, 0xe00, 50), newCircuit(0xe00, 0xe01, 10, "192.0.2.14")} {
		more = append(more, asRequest(f.t, strings.TrimSuffix(strings.TrimPrefix(r, "{"), "}")))
	}
	return slices.Insert(slices.Clone(head), at, more...)
}

// asRequest takes `"NAME":BODY`.
func asRequest(t testing.TB, text string) golden.Request {
	t.Helper()
	name, body, found := strings.Cut(text, `":`)
	if !found {
		t.Fatal(text)
	}
	return golden.Request{Name: strings.TrimPrefix(name, `"`), Args: json.RawMessage(body)}
}

// shape is what the links show, and where addresses are mapped to.
func (f *field) shape() string {
	f.t.Helper()
	addresses := talk(f.t, connect(f.t, f.place, bus.JSON), "", `"ListIpFlow"`)
	return f.show() + "\n" + strings.ReplaceAll(addresses[0], "},", "},\n")
}

// alone is what a client's requests make of empty links. It leaves them empty.
func (f *field) alone(requests []golden.Request) string {
	f.t.Helper()
	end := f.serve()
	f.play(requests)
	shape := f.shape()
	end()
	command(f.t, program(f.t, "lqosd"), "detach", "--config", f.config())
	f.clear()
	if err := os.RemoveAll(f.conf.Bakery.StateDirectory); err != nil {
		f.t.Fatal(err)
	}
	return shape
}
