package lqosconf

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the goldens anew")

// minimal has the keys that a file can't do without. It ends inside [queues], for tests to append to.
const minimal = `
lqos_directory = "/opt/libreqos"
[bridge]
to_internet = "eth0"
to_network = "eth1"
[queues]
default_sqm = "cake diffserv4"
uplink_bandwidth_mbps = 100
downlink_bandwidth_mbps = 1000.5
`

func TestParseMinimalFile(t *testing.T) {
	got, warnings, err := Parse([]byte(minimal), "lqos.conf")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("err %v, warnings %q", err, warnings)
	}
	want := Config{
		LqosDirectory: "/opt/libreqos",
		Bridge:        &Bridge{ToInternet: "eth0", ToNetwork: "eth1"},
		Queues:        Queues{DefaultSQM: "cake diffserv4", UplinkMbps: 100, DownlinkMbps: 1000.5, LazyQueues: "No", LazyExpireSeconds: 600},
		Bakery: Bakery{
			Mode: "apply", StateDirectory: "/var/lib/lqosd", Socket: "/run/lqos/bus", SocketGroup: "lqos",
			SettleMS: 1000, SettleMaxMS: 10000, RetainDays: 30, Drift: "repair", OpaqueLines: "admin", SlowPlanRTT: "exact", Dataplane: "auto", CPURedirect: "auto",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestLoadFileOfLibreQoS(t *testing.T) {
	path := filepath.Join("testdata", "libreqos.conf")
	got, warnings, err := Load(path, anyLeaf)
	if err != nil {
		t.Fatal(err)
	}
	queues, fast := 12, 1000.0
	want := optional()
	want.LqosDirectory = "/opt/libreqos/src"
	want.Bridge = &Bridge{ToInternet: "enp1s0f1", ToNetwork: "enp1s0f2", UseXDPBridge: true}
	want.Queues = Queues{
		DefaultSQM: "cake diffserv4", UplinkMbps: 10000, DownlinkMbps: 10000.5,
		OverrideAvailableQueues: &queues, FastQueuesFqCodel: &fast, LazyQueues: LazyHtb, LazyExpireSeconds: 300,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	wantWarning := Warning(path + ": ignoring keys that lqosd doesn't use: version, node_id, node_name, packet_capture_time, " +
		"queue_check_period_ms, disable_webserver, webserver_listen, [usage_stats], [tuning], queues.monitor_only, " +
		"queues.generated_pn_download_mbps, queues.generated_pn_upload_mbps, queues.dry_run, queues.sudo, queues.use_binpacking, " +
		"[long_term_stats], [ip_ranges], [integration_common], [spylnx_integration], [uisp_integration], [influxdb]")
	if diff := cmp.Diff([]Warning{wantWarning}, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestWarningStaysOneLine(t *testing.T) {
	_, warnings, err := Parse([]byte(minimal+`"a\nb" = 1`+"\n[[list]]\nx = 1\n[[list]]\nx = 2\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	if want := []Warning{`f: ignoring keys that lqosd doesn't use: "queues.a\nb", list`}; !cmp.Equal(want, warnings) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
}

// TestSlipInOwnTable: a wrong key of [bakery] isn't lost among those of LibreQoS.
func TestSlipInOwnTable(t *testing.T) {
	_, warnings, err := Parse([]byte(minimal+"x = 1\n[bakery]\nmodee = \"file\"\nfolder = \"x\"\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	const effect = " is no key of lqosd and has no effect: "
	want := []Warning{
		"f:12:1: bakery.modee" + effect + "is bakery.mode meant?",
		"f:13:1: bakery.folder" + effect + "docs/config.md lists the keys",
		"f: ignoring keys that lqosd doesn't use: queues.x",
	}
	if !cmp.Equal(want, warnings) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
}

// anyLeaf takes all words for a leaf qdisc.
func anyLeaf(string) error { return nil }

// TestSlips: what is nearly a key of LibreQoS that lqosd uses has a line of its own, with its place.
func TestSlips(t *testing.T) {
	const slips = "override_available_queue = 2\nLazy_Queues = \"No\"\nmonitor_only = false\n\"lazy_queue\\n\" = 1\nuse_xdp_brige = true\n"
	text := strings.Replace(minimal, "[bridge]\n", "[bridge]\ntoo_network = \"eth2\"\n", 1) + slips
	_, warnings, err := Parse([]byte(text), "f")
	if err != nil {
		t.Fatal(err)
	}
	const effect = " is no key of lqosd and has no effect: is "
	want := []Warning{
		"f:4:1: bridge.too_network" + effect + "bridge.to_network meant?",
		"f:11:1: queues.override_available_queue" + effect + "queues.override_available_queues meant?",
		"f:12:1: queues.Lazy_Queues" + effect + "queues.lazy_queues meant?",
		`f:14:1: "queues.lazy_queue\n"` + effect + "queues.lazy_queues meant?",
		"f: ignoring keys that lqosd doesn't use: queues.monitor_only, queues.use_xdp_brige",
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSlipOfPlace: a table of lqosd that is nearly called so, and a key in another table than its own, would leave defaults in
// force that nobody wants: apply mode, for one.
func TestSlipOfPlace(t *testing.T) {
	text := "mode = \"file\"\n" + minimal + "drift = \"report\"\n[Bakry]\nmode = \"file\"\n[queue]\nx = 1\n[integration]\nmode = \"x\"\n"
	_, warnings, err := Parse([]byte(text), "f")
	if err != nil {
		t.Fatal(err)
	}
	const effect = " is no key of lqosd and has no effect: is "
	want := []Warning{
		"f:1:1: mode" + effect + "bakery.mode meant?",
		"f:11:1: queues.drift" + effect + "bakery.drift meant?",
		"f:12:2: [Bakry] is no table of lqosd and has no effect: is [bakery] meant?",
		"f: ignoring keys that lqosd doesn't use: [queue], [integration]", // [queues] is there
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestAllFaultsTogether: a leaf that is none stands with its place among the other faults, and so does a slip that may be why a key is missing.
func TestAllFaultsTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lqos.conf")
	text := strings.NewReplacer("cake diffserv4", "caek", "uplink_bandwidth_mbps = 100", "uplink_bandwidth_mbp = 100", "1000.5", "0").Replace(minimal)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(path, func(words string) error { return errors.New("there is no " + words) })
	if err == nil {
		t.Fatal("it is taken")
	}
	var want strings.Builder
	for _, line := range []string{
		`6:2: queues.uplink_bandwidth_mbps is missing; allowed: a number above 0, at most 10000000, in Mbit/s`,
		`7:1: queues.default_sqm is "caek": there is no caek; allowed: a leaf qdisc in tc(8) words, for example "cake diffserv4"`,
		`8:1: queues.uplink_bandwidth_mbp is no key of lqosd and has no effect: is queues.uplink_bandwidth_mbps meant?`,
		`9:1: queues.downlink_bandwidth_mbps is 0; allowed: a number above 0, at most 10000000, in Mbit/s`,
	} {
		want.WriteString(path + ":" + line + "\n")
	}
	if diff := cmp.Diff(want.String(), err.Error()+"\n"); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDefault(t *testing.T) {
	c := Default()
	if c.Bakery.Mode != ModeFile || c.Stick() {
		t.Errorf("default: mode %q, stick %v; want file mode on a bridge", c.Bakery.Mode, c.Stick())
	}
	for _, path := range []string{c.LqosDirectory, c.Bakery.StateDirectory, c.Bakery.Socket} {
		if !strings.HasPrefix(path, "./lqosd-state") {
			t.Errorf("%s is not under ./lqosd-state", path)
		}
	}
	text := DefaultFile()
	text[0] = 'X'
	if bytes.Equal(text, DefaultFile()) {
		t.Error("DefaultFile hands out its own memory")
	}
}

func TestLinks(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		config                Config
		toInternet, toNetwork string
	}{
		{"bridge", Config{Bridge: &Bridge{ToInternet: "a", ToNetwork: "b"}}, "a", "b"},
		{"stick", Config{SingleInterface: &SingleInterface{Interface: "c"}}, "c", "c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if i, n := tc.config.Links(); i != tc.toInternet || n != tc.toNetwork {
				t.Errorf("Links() = %q, %q; want %q, %q", i, n, tc.toInternet, tc.toNetwork)
			}
		})
	}
}

func TestTOMLRefusesWhatParseRefuses(t *testing.T) {
	c := Default()
	c.Queues.UplinkMbps = -1
	var p *Problem
	if text, err := c.TOML(); !errors.As(err, &p) || p.Key != "queues.uplink_bandwidth_mbps" {
		t.Errorf("TOML() = %s, %v; want the problem with the uplink", text, err)
	}
}

func TestLoadNamesTheFileThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lqos.conf")
	if _, _, err := Load(path, anyLeaf); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("err = %v, want ErrNotExist with the path", err)
	}
}

// TestProblems compares every message about a file that is refused with testdata/problems.txtar.
func TestProblems(t *testing.T) {
	const golden = "testdata/problems.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	out := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		name, isConf := strings.CutSuffix(f.Name, ".conf")
		if !isConf {
			continue
		}
		c, _, err := Parse(f.Data, f.Name)
		if err == nil {
			t.Errorf("%s is accepted", f.Name)
			continue
		}
		if !cmp.Equal(c, Config{}) {
			t.Errorf("%s: a config beside the error: %+v", f.Name, c)
		}
		got := err.Error() + "\n"
		if diff := cmp.Diff(want[name+".want"], got); diff != "" && !*update {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
		out.Files = append(out.Files, f, txtar.File{Name: name + ".want", Data: []byte(got)})
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/problems.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	libreqos, err := os.ReadFile("testdata/libreqos.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(libreqos)
	f.Add(DefaultFile())
	f.Fuzz(func(t *testing.T, text []byte) {
		c, warnings, err := Parse(text, "lqos.conf")
		for i, w := range warnings {
			if strings.Contains(string(w), "\n") || strings.HasPrefix(string(w), "lqos.conf: ignoring keys") && i != len(warnings)-1 {
				t.Fatalf("warnings %q, want one line each, and one for all that are no slips", warnings)
			}
		}
		if err != nil {
			return
		}
		written, err := c.TOML()
		if err != nil {
			t.Fatalf("writing what was read: %v", err)
		}
		again, warnings, err := Parse(written, "written")
		if err != nil || len(warnings) > 0 {
			t.Fatalf("reading what was written: %v, %q\n%s", err, warnings, written)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("read back (-want +got):\n%s", diff)
		}
	})
}
