package golden

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const recordings = "../../testdata/golden"

func TestCases(t *testing.T) {
	cases, err := Cases(recordings)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.Name)
	}
	if got, want := strings.Join(names, " "), "example example_fq_codel example_mq_present n1000 stick_flat tree3_frac"; got != want {
		t.Errorf("cases %s, want %s", got, want)
	}
	if _, err := Cases(t.TempDir()); err == nil {
		t.Error("a directory without recordings is no error")
	}
	if _, err := Cases("no such directory"); err == nil {
		t.Error("no directory is no error")
	}
}

// TestTraces reads every recording: all that was called is a request that the bus knows, but for what sends nothing.
func TestTraces(t *testing.T) {
	cases, err := Cases(recordings)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, file := range []string{"trace.jsonl", "trace-bulk.jsonl", "ip.jsonl"} {
			requests, err := c.Trace(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(requests) == 0 {
				t.Errorf("%s: no requests in %s", c.Name, file)
			}
			for _, r := range requests {
				if !json.Valid([]byte(r.JSON())) {
					t.Fatalf("%s, %s: %s isn't JSON", c.Name, file, r.JSON())
				}
			}
		}
	}
}

func TestTraceOfN1000(t *testing.T) {
	c := Case{"n1000", filepath.Join(recordings, "n1000")}
	trace, err := c.Trace("trace.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, r := range trace {
		counts[r.Name]++
	}
	want := map[string]int{"BakeryMqSetup": 1, "BakeryClearPriorSettings": 1, "BakeryExecuteTCCommands": 1,
		"BakeryAddCircuitHTBClass": 2000, "BakeryAddCircuitQdisc": 2000}
	for name, n := range want {
		if counts[name] != n {
			t.Errorf("%d times %s, want %d", counts[name], name, n)
		}
	}
	if len(trace) != 4347 || trace[0].Name != "BakeryMqSetup" || trace[0].Args != nil {
		t.Errorf("%d requests, the first %s", len(trace), trace[0].JSON())
	}
}

// write makes a recording of one file.
func write(t *testing.T, name, text string) Case {
	t.Helper()
	c := Case{"made", t.TempDir()}
	if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTrace(t *testing.T) {
	const mapping = `{"fn":"BatchedCommands.add_ip_mapping","args":{"ip":"192.0.2.1","classid":"0x1:0x4","upload":true},"parsed":{"tc_handle":65540,"cpu_num":3}}` + "\n"
	const submit = `{"fn":"BatchedCommands.submit","args":{}}` + "\n"
	for _, tc := range []struct{ name, text, want string }{
		{"no arguments", `{"fn":"bakery_mq_setup","args":{}}`, `"BakeryMqSetup"`},
		{"arguments as they are", `{"fn":"bakery_execute_tc_commands","args":{"commands":["a b"],"force_mode":true}}`,
			`{"BakeryExecuteTCCommands":{"commands":["a b"],"force_mode":true}}`},
		{"a hash keeps its 64 bits", `{"fn":"bakery_add_circuit_qdisc","args":{"circuit_hash":-6088975478166900967}}`,
			`{"BakeryAddCircuitQdisc":{"circuit_hash":-6088975478166900967}}`},
		{"what sends nothing", `{"fn":"is_lqosd_alive","args":{}}`, ``},
		{"a mapping that is submitted", mapping + `{"fn":"clear_ip_mappings","args":{}}` + "\n" + submit,
			`"ClearIpFlow" {"MapIpToFlow":{"cpu":3,"ip_address":"192.0.2.1","tc_handle":65540,"upload":true}}`},
		{"a mapping that isn't", mapping, ``},
		{"submitted once", mapping + submit + submit, `{"MapIpToFlow":{"cpu":3,"ip_address":"192.0.2.1","tc_handle":65540,"upload":true}}`},
	} {
		requests, err := write(t, "trace.jsonl", tc.text).Trace("trace.jsonl")
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		var got []string
		for _, r := range requests {
			got = append(got, r.JSON())
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, text, tc.want)
		}
	}
	for name, text := range map[string]string{"no JSON": "{", "wrong arguments": `{"fn":"BatchedCommands.add_ip_mapping","args":[]}`} {
		if _, err := write(t, "trace.jsonl", text).Trace("trace.jsonl"); err == nil || !strings.Contains(err.Error(), "recording made, trace.jsonl") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := write(t, "other", "").Trace("trace.jsonl"); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestConfig(t *testing.T) {
	c, err := Case{"stick_flat", filepath.Join(recordings, "stick_flat")}.Config("/somewhere")
	if err != nil {
		t.Fatal(err)
	}
	if !c.Stick() || c.Bridge != nil || c.Bakery.Mode != "file" || c.Bakery.StateDirectory != "/somewhere/state" || c.LqosDirectory != "/somewhere" {
		t.Errorf("configuration %+v", c)
	}
	c, err = Case{"example", filepath.Join(recordings, "example")}.Config("/somewhere")
	if err != nil {
		t.Fatal(err)
	}
	if c.Stick() || c.Bridge.ToNetwork != "eth1" || c.Queues.DefaultSQM != "cake diffserv4" || *c.Queues.OverrideAvailableQueues != 4 {
		t.Errorf("configuration %+v", c)
	}
	for _, text := range []string{"{", `{"nic_queues":"many"}`} {
		if _, err := write(t, "cfg.json", text).Config("/somewhere"); err == nil {
			t.Errorf("%s is no error", text)
		}
	}
}

func TestCheck(t *testing.T) {
	c := write(t, "linux_tc.txt", "class add parent 0x1: classid 0x1:0x3\nqdisc add parent 0x1:0x3 cake\n")
	const before, cut, after = "class add parent 1: classid 0x1:3\nqdisc add parent 1:3 cake\n", "qdisc delete dev eth1 root\n",
		"class add parent 0x1: classid 0x1:0x3\nqdisc add parent 0x1:0x3 cake\n"
	if err := c.Check(before + cut + after); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct{ name, got, want string }{
		{"nothing", "", "before ClearPriorSettings: line 1 "},
		{"no second part", before + cut, "after ClearPriorSettings: line 1 "},
		{"no first part", cut + after, "before ClearPriorSettings: line 1 "},
		{"no deletion", before + after, "before ClearPriorSettings: line 3 "},
		{"0x is missing in the second part", before + cut + before, "after ClearPriorSettings: line 1 "},
		{"a line too many", before + cut + after + "x\n", "after ClearPriorSettings: line 3 "},
		{"a line too few", before + cut + strings.SplitAfter(after, "\n")[0], "after ClearPriorSettings: line 2 "},
		{"another line", strings.Replace(before, "cake", "fq_codel", 1) + cut + after, `before ClearPriorSettings: line 2 of 3 (want 3): got "qdisc add parent 1:3 fq_codel", want "qdisc add parent 1:3 cake"`},
		{"the last newline is missing", before + cut + strings.TrimSuffix(after, "\n"), `after ClearPriorSettings: line 3: got "e" as the end, want "\n"`},
	} {
		if err := c.Check(tc.got); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	if err := (Case{"gone", t.TempDir()}).Check(""); err == nil {
		t.Error("a recording without linux_tc.txt passes")
	}
}
