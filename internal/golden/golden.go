// Package golden reads the recordings of a real client in testdata/golden: its
// configuration, its calls as requests of the bus, and the tc lines that it
// computed itself. Tests and the demo play them.
package golden

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lqosd/internal/lqosconf"
)

// Case is one recorded network: a directory of testdata/golden.
type Case struct {
	Name string
	Dir  string
}

// Cases lists the recorded networks below dir.
func Cases(dir string) ([]Case, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing recordings: %w", err)
	}
	var cases []Case
	for _, e := range entries {
		if e.IsDir() {
			cases = append(cases, Case{e.Name(), filepath.Join(dir, e.Name())})
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no recordings in %s", dir)
	}
	return cases, nil
}

// Config is the client's configuration: the queues overridden with those that its
// host had, everything of ours under dir.
func (c Case) Config(dir string) (lqosconf.Config, error) {
	var f struct {
		NICQueues int `json:"nic_queues"`
		Bridge    *struct {
			ToInternet string `json:"to_internet"`
			ToNetwork  string `json:"to_network"`
		} `json:"bridge"`
		Single *struct {
			Interface    string `json:"interface"`
			InternetVLAN int    `json:"internet_vlan"`
			NetworkVLAN  int    `json:"network_vlan"`
		} `json:"single_interface"`
		Queues struct {
			DefaultSQM string  `json:"default_sqm"`
			Down       float64 `json:"downlink_bandwidth_mbps"`
			Up         float64 `json:"uplink_bandwidth_mbps"`
		} `json:"queues"`
	}
	data, err := os.ReadFile(filepath.Join(c.Dir, "cfg.json"))
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		return lqosconf.Config{}, fmt.Errorf("recording %s: %w", c.Name, err)
	}
	conf := lqosconf.Default()
	conf.LqosDirectory = dir
	conf.Bakery.StateDirectory = filepath.Join(dir, "state")
	conf.Bakery.Socket = filepath.Join(dir, "bus")
	conf.Bakery.Mode = lqosconf.ModeFile
	conf.Bridge, conf.SingleInterface = nil, nil
	if f.Bridge != nil {
		conf.Bridge = &lqosconf.Bridge{ToInternet: f.Bridge.ToInternet, ToNetwork: f.Bridge.ToNetwork}
	}
	if f.Single != nil {
		conf.SingleInterface = &lqosconf.SingleInterface{Interface: f.Single.Interface,
			InternetVLAN: f.Single.InternetVLAN, NetworkVLAN: f.Single.NetworkVLAN}
	}
	conf.Queues.DefaultSQM, conf.Queues.DownlinkMbps, conf.Queues.UplinkMbps = f.Queues.DefaultSQM, f.Queues.Down, f.Queues.Up
	conf.Queues.OverrideAvailableQueues = &f.NICQueues
	return conf, nil
}

// Request is a recorded call as a request of the bus.
type Request struct {
	Name string
	Args json.RawMessage // nil: the request is its name alone
}

// JSON is the request as a line that lqosd send reads.
func (r Request) JSON() string {
	if r.Args == nil {
		return strconv.Quote(r.Name)
	}
	return fmt.Sprintf(`{%q:%s}`, r.Name, r.Args)
}

var names = map[string]string{
	"bakery_clear_prior_settings":     "BakeryClearPriorSettings",
	"bakery_mq_setup":                 "BakeryMqSetup",
	"bakery_add_structural_htb_class": "BakeryAddStructuralHTBClass",
	"bakery_add_circuit_htb_class":    "BakeryAddCircuitHTBClass",
	"bakery_add_circuit_qdisc":        "BakeryAddCircuitQdisc",
	"bakery_execute_tc_commands":      "BakeryExecuteTCCommands",
	"clear_ip_mappings":               "ClearIpFlow",
	"BatchedCommands.add_ip_mapping":  "MapIpToFlow",
}

// Trace reads a recording of calls: trace.jsonl, trace-bulk.jsonl or ip.jsonl of the first
// generation, trace-head.jsonl or ip-head.jsonl of the second. Calls that send nothing are left out; mappings, which the client
// collects, stand where it submitted them.
func (c Case) Trace(file string) ([]Request, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, file))
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", c.Name, err)
	}
	var requests, batched []Request
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for lines.Scan() {
		fn, r, err := parseCall(lines.Bytes())
		switch {
		case err != nil:
			return nil, fmt.Errorf("recording %s, %s: %w", c.Name, file, err)
		case fn == "BatchedCommands.submit":
			requests, batched = append(requests, batched...), nil
		case r.Name == "MapIpToFlow":
			batched = append(batched, r)
		case r.Name != "":
			requests = append(requests, r)
		}
	}
	return requests, lines.Err()
}

func parseCall(line []byte) (fn string, r Request, err error) {
	var call struct {
		Fn     string          `json:"fn"`
		Args   json.RawMessage `json:"args"`
		Parsed struct {
			Handle uint32 `json:"tc_handle"`
			CPU    uint32 `json:"cpu_num"`
			// The second generation's are there in its recordings alone.
			CircuitID *uint64 `json:"circuit_id_u64"`
			DeviceID  *uint64 `json:"device_id_u64"`
		} `json:"parsed"`
		Bus map[string]json.RawMessage `json:"bus"`
	}
	if err := json.Unmarshal(line, &call); err != nil {
		return "", Request{}, err
	}
	r = Request{Name: names[call.Fn], Args: call.Args}
	switch {
	case call.Bus != nil:
		r, err = sent(call.Bus)
	case string(call.Args) == "{}":
		r.Args = nil
	case r.Name == "MapIpToFlow":
		var ip struct {
			IP     string `json:"ip"`
			Upload bool   `json:"upload"`
		}
		if err := json.Unmarshal(call.Args, &ip); err != nil {
			return "", Request{}, err
		}
		args := map[string]any{"ip_address": ip.IP, "tc_handle": call.Parsed.Handle, "cpu": call.Parsed.CPU, "upload": ip.Upload}
		if p := call.Parsed; p.CircuitID != nil && p.DeviceID != nil {
			args["circuit_id"], args["device_id"] = p.CircuitID, p.DeviceID
		}
		r.Args, err = json.Marshal(args)
	}
	return call.Fn, r, err
}

// sent is what went over the bus: the fields of a request, with its name among them.
func sent(fields map[string]json.RawMessage) (r Request, err error) {
	if err := json.Unmarshal(fields["request"], &r.Name); err != nil {
		return r, err
	}
	delete(fields, "request")
	if len(fields) > 0 {
		r.Args, err = json.Marshal(fields)
	}
	return r, err
}

// Lines are the tc lines that the client itself computed: linux_tc.txt.
func (c Case) Lines() (string, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, "linux_tc.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("recording %s has no linux_tc.txt", c.Name)
	}
	return string(data), err
}

// Check compares the tc file that trace.jsonl gave with what the client computed:
// the part before ClearPriorSettings once "0x" is removed from both, the part after
// it word for word. The error names the first difference.
func (c Case) Check(got string) error {
	want, err := c.Lines()
	if err != nil {
		return err
	}
	before, after := split(got)
	plain := strings.NewReplacer("0x", "")
	if err := sameLines(plain.Replace(before), plain.Replace(want)); err != nil {
		return fmt.Errorf("before ClearPriorSettings: %w", err)
	}
	if err := sameLines(after, want); err != nil {
		return fmt.Errorf("after ClearPriorSettings: %w", err)
	}
	return nil
}

// HeadLines are the tc lines that the second generation wrote for debugging:
// linux_tc-head.txt, without "0x".
func (c Case) HeadLines() (string, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, "linux_tc-head.txt"))
	if err != nil {
		return "", fmt.Errorf("recording %s: %w", c.Name, err)
	}
	return strings.ReplaceAll(string(data), "0x", ""), nil
}

// CheckHead compares the tc file that trace-head.jsonl gave with what the client wrote. The
// error names the first difference.
func (c Case) CheckHead(got string) error {
	want, err := c.HeadLines()
	if err != nil {
		return err
	}
	return sameLines(got, want)
}

// split cuts the deletions of ClearPriorSettings out.
func split(text string) (before, after string) {
	var parts [2]strings.Builder
	i := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "qdisc delete ") {
			i = 1
			continue
		}
		parts[i].WriteString(line)
	}
	return parts[0].String(), parts[1].String()
}

func sameLines(got, want string) error {
	if got == want {
		return nil
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Errorf("line %d of %d (want %d): got %q, want %q", i+1, len(g), len(w), a, b)
		}
	}
	return fmt.Errorf("line %d: got %q as the end, want %q", len(w), last(got), last(want))
}

// last is the last byte of a text: all that can differ where the lines don't.
func last(text string) string { return text[max(len(text)-1, 0):] }
