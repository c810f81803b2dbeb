package lqosconf

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Config is the part of lqos.conf that lqosd uses. A Config from [Load], [Parse] or [Default] is complete and checked;
// of Bridge and SingleInterface exactly one is there.
type Config struct {
	LqosDirectory   string           `toml:"lqos_directory"`
	Bridge          *Bridge          `toml:"bridge,omitempty"`
	SingleInterface *SingleInterface `toml:"single_interface,omitempty"`
	Queues          Queues           `toml:"queues"`
	Bakery          Bakery           `toml:"bakery"`
}

// Bridge names the two links of a host that shapes between them.
type Bridge struct {
	ToInternet   string `toml:"to_internet"`
	ToNetwork    string `toml:"to_network"` // towards the subscribers
	UseXDPBridge bool   `toml:"use_xdp_bridge"`
}

// SingleInterface names the one link of a host "on a stick", and its two VLANs (IEEE 802.1Q ids).
type SingleInterface struct {
	Interface    string `toml:"interface"`
	InternetVLAN int    `toml:"internet_vlan"`
	NetworkVLAN  int    `toml:"network_vlan"`
}

// Queues says how much the links carry, and what shapes it.
type Queues struct {
	DefaultSQM   string  `toml:"default_sqm"`             // the leaf qdisc as tc(8) words, for example "cake diffserv4"
	UplinkMbps   float64 `toml:"uplink_bandwidth_mbps"`   // towards the internet, in Mbit/s
	DownlinkMbps float64 `toml:"downlink_bandwidth_mbps"` // towards the subscribers, in Mbit/s

	OverrideAvailableQueues *int `toml:"override_available_queues,omitempty"` // of both directions on a stick; nil: count them

	FastQueuesFqCodel  *float64 `toml:"fast_queues_fq_codel,omitempty"` // Mbit/s from which a circuit gets fq_codel in place of cake; nil: 1000
	LazyQueues         string   `toml:"lazy_queues"`                    // No, Htb or Full
	LazyExpireSeconds  int      `toml:"lazy_expire_seconds"`            // 0: never
	LazyThresholdBytes int      `toml:"lazy_threshold_bytes"`
}

// The values of Queues.LazyQueues.
const (
	LazyNo   = "No"   // build every class and every leaf qdisc at once
	LazyHtb  = "Htb"  // build leaf qdiscs when there is traffic for them
	LazyFull = "Full" // build circuits' classes when there is traffic for them, too
)

// Bakery holds lqosd's own settings.
type Bakery struct {
	Mode              string `toml:"mode"`
	StateDirectory    string `toml:"state_directory"`
	Socket            string `toml:"socket"`
	SocketGroup       string `toml:"socket_group"`
	ReadGroup         string `toml:"read_group"`         // "": none
	SettleMS          int    `toml:"settle_ms"`          // quiet time, in ms, that ends a reset over a live tree
	SettleMaxMS       int    `toml:"settle_max_ms"`      // the longest wait, in ms, for that quiet
	RetainGenerations int    `toml:"retain_generations"` // 0: any number
	RetainDays        int    `toml:"retain_days"`        // 0: for ever
	Drift             string `toml:"drift"`
	OpaqueLines       string `toml:"opaque_lines"`
	SlowPlanRTT       string `toml:"slow_plan_rtt"`
	Dataplane         string `toml:"dataplane"`
	CPURedirect       string `toml:"cpu_redirect"`
	BPFFS             string `toml:"bpf_fs"` // "": where the kernel's usual one is
}

// The values of Bakery.Mode.
const (
	ModeApply = "apply" // program the kernel
	ModeFile  = "file"  // write tc-rust.txt
)

// The values of Bakery.Drift: what becomes of a difference in the kernel that no record explains.
const (
	DriftRepair = "repair"
	DriftReport = "report"
)

// The values of Bakery.OpaqueLines: whose tc lines may be kept word for word and run by tc(8).
const (
	OpaqueAdmin   = "admin"   // those of root and of the daemon's own user
	OpaqueCommand = "command" // those of everybody who may send commands
	OpaqueRefuse  = "refuse"  // nobody's, and those of an older log are not run
)

// The values of Bakery.SlowPlanRTT: which circuits' cake is told a longer round-trip time.
const (
	SlowPlanExact = "exact" // plans of exactly 1, 2, 3 and 4 Mbit/s, as clients do it
	SlowPlanUpTo  = "up_to" // all plans up to them
)

// The values of Bakery.Dataplane: how packets get to the classes of their addresses in apply mode.
const (
	DataplaneAuto    = "auto"    // XDP in the driver, and in the generic hook where the driver has none
	DataplaneNative  = "native"  // XDP in the driver alone
	DataplaneGeneric = "generic" // XDP in the generic hook
	DataplaneOff     = "off"     // something else does it
)

// The values of Bakery.CPURedirect: whether XDP hands packets to the CPUs of their classes.
const (
	RedirectAuto   = "auto"   // where nothing of a packet can be kept beside it
	RedirectAlways = "always" // wherever XDP is native
	RedirectNever  = "never"
)

// Warning is one line about something that is odd and harmless. It starts with the name of the file.
type Warning string

//go:embed default.conf
var defaultFile []byte

// Default is what lqosd runs on without a configuration file: file mode, two links that need not exist, and everything
// under ./lqosd-state.
func Default() Config {
	c, warnings, err := Parse(defaultFile, "default.conf")
	if err != nil || len(warnings) > 0 {
		panic(fmt.Sprintf("lqosconf: the embedded default file: %v %v", err, warnings))
	}
	return c
}

// DefaultFile is the text that [Default] is made from, with comments.
func DefaultFile() []byte {
	return append([]byte(nil), defaultFile...)
}

// LeafCheck tells why the words of queues.default_sqm are no leaf qdisc; nil if they are one. This package knows no qdiscs.
type LeafCheck func(words string) error

// Load reads and checks the file at path. What it returns is as from [Parse].
func Load(path string, leaf LeafCheck) (Config, []Warning, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return parse(text, path, leaf)
}

// Parse reads and checks the text of a configuration file; name is what messages call the file.
// The error is nil or an errors.Join of every [Problem] found, in the order of the file.
func Parse(text []byte, name string) (Config, []Warning, error) {
	return parse(text, name, func(string) error { return nil })
}

func parse(text []byte, name string, leaf LeafCheck) (Config, []Warning, error) {
	doc, err := parseDocument(text, name)
	if err != nil {
		return Config{}, nil, err
	}
	c := optional()
	problems := append(doc.read(&c), doc.check(c, leaf)...)
	if len(problems) > 0 {
		return Config{}, doc.warnings(), join(append(problems, doc.slips()...))
	}
	return c, doc.warnings(), nil
}

// TOML writes c as the text of a lqos.conf, one that [Parse] reads back as c. What Parse would refuse is an error.
func (c Config) TOML() ([]byte, error) {
	text, err := toml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing a configuration: %w", err)
	}
	if _, _, err := Parse(text, "lqos.conf"); err != nil {
		return nil, fmt.Errorf("writing a configuration: %w", err)
	}
	return text, nil
}

// Stick says whether one link carries both directions.
func (c Config) Stick() bool { return c.SingleInterface != nil }

// Links names the link towards the internet and the one towards the subscribers. On a stick they are one.
func (c Config) Links() (toInternet, toNetwork string) {
	if c.Stick() {
		return c.SingleInterface.Interface, c.SingleInterface.Interface
	}
	return c.Bridge.ToInternet, c.Bridge.ToNetwork
}

// join is errors.Join for problems, in the order of the file.
func join(problems []*Problem) error {
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}
