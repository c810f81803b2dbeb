package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/internal/host"
	"lqosd/internal/lqosconf"
	"lqosd/internal/skeleton"
)

// verdict is how a finding of doctor counts.
type verdict string

const (
	good    verdict = "ok"
	note    verdict = "note"    // worth knowing
	missing verdict = "missing" // apply mode needs it
	bad     verdict = "problem" // no mode works without it
)

// finding is a line of doctor.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Text    string  `json:"text"`
	Advice  string  `json:"advice,omitempty"`

	waits bool // apply mode starts without it, and waits
}

const doctorLong = `Tells what this host has and lacks: capabilities, qdiscs of its kernel, links and their queues, BPF,
what the configuration names. It changes nothing. Exit code 1 when the mode that the configuration
asks for can't work.`

func doctorCommand() *cobra.Command {
	var config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Tell what this host has and lacks",
		Long:    doctorLong,
		Example: "  lqosd doctor --config /etc/lqos.conf\n  lqosd doctor --json | jq '.[] | select(.verdict != \"ok\")'",
		Args:    cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, mode := examine(config, thisHost())
			out := cmd.OutOrStdout()
			if asJSON {
				if err := printJSON(out, findings); err != nil {
					return err
				}
			} else if err := printFindings(out, findings); err != nil {
				return err
			}
			for _, f := range findings {
				if f.Verdict == bad || f.Verdict == missing && mode == lqosconf.ModeApply {
					return cli.Quiet()
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `FILE` (default /etc/lqos.conf, or built-in defaults where there is none)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printFindings(out io.Writer, findings []finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Verdict, f.Check, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", f.Advice)
		}
	}
	return w.Flush()
}

// examine gives the findings, and the mode that the configuration asks for.
func examine(path string, h host.Host) ([]finding, string) {
	s, warnings, err := readConfig(path)
	if err != nil {
		advice := "docs/config.md lists the keys"
		if errors.Is(err, fs.ErrPermission) {
			advice = fmt.Sprintf("let this user read it (the unit's: chgrp %s FILE && chmod g+r FILE), or be root", unitGroup)
		}
		var faults []finding
		for line := range strings.Lines(err.Error()) {
			faults = append(faults, finding{Check: "configuration", Verdict: bad, Text: strings.TrimSuffix(line, "\n"), Advice: advice})
		}
		return faults, ""
	}
	conf := finding{Check: "configuration", Verdict: good, Text: s.configPath}
	if s.configPath == "" {
		conf.Text = "built-in defaults: there is no " + defaultConfig
	}
	all := []finding{conf}
	for _, w := range warnings {
		all = append(all, finding{Check: "configuration", Verdict: note, Text: string(w)})
	}
	mode := finding{Check: "mode", Verdict: good, Text: s.Bakery.Mode + ": programs the kernel"}
	if s.Bakery.Mode != lqosconf.ModeApply {
		mode.Text = s.Bakery.Mode + ": what is missing for apply mode doesn't matter"
	}
	all = append(all, mode, examineHost(h))
	all = append(all, examineKernel(s, h)...)
	all = append(all, examinePaths(s)...)
	if a, ok := unitAccount(); ok {
		refusal := note // for the unit it need not be
		if s.configPath == defaultConfig {
			refusal = bad
		}
		all = append(all, examineAccount(a, s, refusal)...)
	}
	return all, s.Bakery.Mode
}

func examineHost(h host.Host) finding {
	kernel, err := h.KernelVersion()
	if err != nil {
		kernel = "unknown: " + err.Error()
	}
	cpus, _ := h.CPUs()
	return finding{Check: "host", Verdict: good, Text: fmt.Sprintf("%s, kernel %s, %d CPUs", h.Distribution(), kernel, cpus)}
}

// examineKernel finds what apply mode needs.
func examineKernel(s settings, h host.Host) []finding {
	all := examineCapabilities(s, h)
	all = append(all, examineForwarding(s)...)
	all = append(all, examineLinks(s, h)...)
	return append(all, examineQdiscs(s, h)...)
}

func examineCapabilities(s settings, h host.Host) []finding {
	caps, err := h.Capabilities()
	if err != nil {
		return []finding{{Check: "capabilities", Verdict: note, Text: err.Error()}}
	}
	admin := finding{Check: "CAP_NET_ADMIN", Verdict: good, Text: "there"}
	if !caps.NetAdmin {
		admin = finding{Check: admin.Check, Verdict: missing, Text: "not there; apply mode needs it to program qdiscs and classes",
			Advice: "run as root, or give the unit AmbientCapabilities=CAP_NET_ADMIN"}
	}
	bpf := finding{Check: "CAP_BPF", Verdict: good, Text: "there"}
	switch {
	case caps.BPF:
	case s.Bakery.Dataplane == lqosconf.DataplaneOff:
		bpf = finding{Check: bpf.Check, Verdict: note, Text: "not there; bakery.dataplane is off"}
	default:
		bpf = finding{Check: bpf.Check, Verdict: missing, Text: "not there; apply mode needs it to load the programs that steer packets to classes",
			Advice: `run as root, or give the unit AmbientCapabilities=CAP_BPF CAP_PERFMON; or set bakery.dataplane = "off" where something else steers`}
	}
	return []finding{admin, bpf}
}

// examineForwarding tells that nothing but a Linux bridge, or routes, forwards packets.
func examineForwarding(s settings) []finding {
	if s.Bridge == nil || !s.Bridge.UseXDPBridge {
		return nil
	}
	return []finding{{Check: "bridge.use_xdp_bridge", Verdict: note,
		Text:   "is true, and lqosd doesn't forward packets itself: the kernel has to",
		Advice: fmt.Sprintf("ip link add br0 up type bridge; ip link set %s master br0; ip link set %s master br0", s.Bridge.ToInternet, s.Bridge.ToNetwork)}}
}

func examineLinks(s settings, h host.Host) []finding {
	c, why := skeleton.Of(s.Config, h)
	var all []finding
	for _, link := range c.Links() {
		f := finding{Check: "link " + link, Verdict: good}
		rx, tx, err := h.LinkQueues(link)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.Verdict, f.Text, f.waits = missing, "there is no such link", true
			f.Advice = "name the links of this host in [bridge] or [single_interface]; ip link lists them"
		case err != nil:
			f.Verdict, f.Text = note, err.Error()
		default:
			f.examineQueues(link, rx, tx, c.Queues*2/len(c.Links()))
		}
		all = append(all, f)
	}
	return append(all, finding{Check: "queues", Verdict: good, Text: fmt.Sprintf("%d per direction: %s", c.Queues, why)})
}

// examineQueues says whether a link has the tx queues that the tree wants on it: mq has a
// class for each, and isn't there at all on a link with one.
func (f *finding) examineQueues(link string, rx, tx, want int) {
	f.Text = fmt.Sprintf("%d rx and %d tx queues", rx, tx)
	switch {
	case tx < 2:
		f.Verdict, f.Text = missing, f.Text+": mq needs a link with more than one"
		f.Advice = fmt.Sprintf("ethtool -L %s combined %d, if the card has them; a veth is made with numtxqueues %d", link, max(want, 2), max(want, 2))
	case tx < want:
		f.Verdict, f.Text = missing, fmt.Sprintf("%s: the tree wants %d", f.Text, want)
		f.Advice = fmt.Sprintf("ethtool -L %s combined %d, or a smaller override_available_queues", link, want)
	}
}

func examineQdiscs(s settings, h host.Host) []finding {
	kinds := []string{"mq", "htb"}
	kind, err := leafKind(s)
	if err != nil {
		return []finding{{Check: "default_sqm", Verdict: bad, Text: err.Error(), Advice: "docs/config.md: queues.default_sqm"}}
	}
	if kind != "" {
		kinds = append(kinds, kind)
	}
	var all []finding
	available := h.QdiscsAvailable(kinds...)
	for _, k := range kinds {
		f := finding{Check: "qdisc " + k, Verdict: good, Text: string(available[k])}
		switch available[k] {
		case host.Absent:
			f.Verdict = missing
			f.Advice = "this kernel has no sch_" + k + ": on Debian install linux-image-amd64 (the cloud kernel leaves it out), or choose another queues.default_sqm"
		case host.Unknown:
			f.Verdict = note
		}
		all = append(all, f)
	}
	return all
}

func examinePaths(s settings) []finding {
	var all []finding
	for _, p := range []struct{ name, path, dir string }{
		{"state directory", s.Bakery.StateDirectory, s.Bakery.StateDirectory}, {"socket", s.Bakery.Socket, filepath.Dir(s.Bakery.Socket)},
	} {
		f := finding{Check: p.name, Verdict: good, Text: p.path}
		r := reach{path: p.dir, mode: mayMakeFiles, made: true, advice: "run as root or as its owner, or name another in [bakery]"}
		if r.refuse(); r.refused != "" {
			f.Verdict, f.Text, f.Advice = bad, r.refused, r.advice
		}
		all = append(all, f)
	}
	if s.Bakery.Mode == lqosconf.ModeFile { // the other writes nothing there
		tcDir := finding{Check: "lqos_directory", Verdict: good, Text: s.LqosDirectory}
		r := reach{path: s.LqosDirectory, mode: mayMakeFiles, advice: "make it, or let the daemon's user write there, or name another file with lqosd serve --tc-file"}
		if r.refuse(); r.refused != "" && s.configPath != "" {
			tcDir.Verdict, tcDir.Text, tcDir.Advice = bad, r.refused, r.advice
		}
		all = append(all, tcDir)
	}
	g := s.Bakery.SocketGroup
	if _, ok := lookupGroup(g); !ok {
		all = append(all, finding{Check: "socket group", Verdict: note,
			Text: fmt.Sprintf("there is no group %q: only root and the daemon's user may speak", g), Advice: "groupadd --system " + g})
	}
	return all
}
