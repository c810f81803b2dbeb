package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/internal/cli"
	"lqosd/internal/host"
	"lqosd/internal/lqosconf"
	"lqosd/internal/skeleton"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/plan"
)

type planFlags struct {
	commands, at, link, config, out, bpfFS string
	against                                []string
	noMaps, asJSON, allowRefused           bool
}

const planLong = `Tells what a daemon in apply mode would do if these commands were sent to it, and what traffic
would notice: the ops in their order, address mappings, lines that tc(8) runs. Nothing is sent,
and nothing is written.

FILE has one JSON request a line, as lqosd send takes it, or tc lines, which are taken as one
BakeryExecuteTCCommands with force_mode. What the daemon would refuse is listed, with its line; the
plan is of the rest, as it would be sent without --key.

--against log, the default, plans from the tree that the log has, live from the running kernel of this
network namespace, with the address maps of lqosd's dataplane, if there are any; anything else is a
file: tc lines, or tc -j -d qdisc show and class show of one link (--against twice).

A BakeryMqSetup and a BakeryCommit need the configuration: --config names it; without it links,
capacities, queues and leaves are those of the log's last one.

Exit code 0: nothing would happen, 1: something would, 2: trouble, or a command is refused
and --allow-refused isn't given.`

func planCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan LOG --commands FILE|-",
		Short: "Tell what would happen if commands were sent, and what traffic would notice",
		Long:  planLong,
		Example: `  bakery-replay plan unix:/run/lqos/bus --commands new.jsonl --against live
  echo '"BakeryClearPriorSettings"' | bakery-replay plan lqosd-state/eventlog --commands -
  bakery-replay plan lqosd-state/eventlog --commands new.jsonl --config lqos.conf --json -o plan.json`,
		Args: cli.Args("LOG"),
	}
	run := withLog(func(cmd *cobra.Command, s *replay.Source) error { return runPlan(cmd, s, f) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.commands == "" {
			return cli.Usagef("plan needs --commands")
		}
		if n := len(f.against); n > 1 && (slices.Contains(f.against, "live") || slices.Contains(f.against, "log")) {
			return cli.Usagef("--against takes live, log, or files")
		}
		if err := run(cmd, args); err != nil {
			return trouble(err)
		}
		return nil
	}
	fs := cmd.Flags()
	fs.StringVar(&f.commands, "commands", "", "`FILE` of requests or tc lines; - is the standard input")
	fs.StringArrayVar(&f.against, "against", nil, "`live|log|FILE`: what is to be changed (default log); a FILE may be repeated")
	fs.StringVar(&f.at, "at", "", "the commands come after record or time `SEQ|TIME` (default the end)")
	fs.StringVar(&f.link, "link", "", "the link `IF` of files of tc -j")
	fs.StringVar(&f.config, "config", "", "the daemon's configuration, `FILE`")
	fs.BoolVar(&f.allowRefused, "allow-refused", false, "a refused command is no trouble")
	fs.BoolVar(&f.noMaps, "no-maps", false, "with live: leave the address maps out, where lqosd has bakery.dataplane = \"off\"")
	fs.StringVar(&f.bpfFS, "bpf-fs", "", "with live: bakery.bpf_fs of the daemon, if it isn't the usual `DIR`")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	fs.StringVarP(&f.out, "output", "o", "", "write to `FILE`")
	return cmd
}

// live reports a plan for the running kernel.
func (f planFlags) live() bool { return slices.Equal(f.against, []string{"live"}) }

// files are those of --against.
func (f planFlags) files() []string {
	if f.live() || slices.Equal(f.against, []string{"log"}) {
		return nil
	}
	return f.against
}

func runPlan(cmd *cobra.Command, s *replay.Source, f planFlags) error {
	at, err := moment(cmd.Context(), s, f.at)
	if err != nil {
		return err
	}
	requests, err := readRequests(cmd, f.commands)
	if err != nil {
		return err
	}
	before, err := s.Tree(cmd.Context(), at)
	if err != nil {
		return err
	}
	planning, r, err := rehearse(cmd.Context(), s, before, requests, f)
	if err != nil {
		return err
	}
	if err := lookAtTarget(cmd, &planning, f); err != nil {
		return err
	}
	p := plan.New(planning)
	p.Commands, p.Refused = r.commands, append(p.Refused, r.refused...)
	err = output(cmd, f.out, func(w io.Writer) error {
		if f.asJSON {
			return p.WriteJSON(w)
		}
		return p.WriteText(w, colourful(w))
	})
	switch {
	case err != nil:
		return err
	case len(p.Refused) > 0 && !f.allowRefused:
		return cli.ExitError{Code: cli.Trouble}
	case !p.Nothing():
		return cli.Quiet()
	}
	return nil
}

// rehearse folds the requests into a copy of before.
func rehearse(ctx context.Context, s *replay.Source, before *bakery.Tree, requests requests, f planFlags) (plan.Planning, *rehearser, error) {
	setup, opaque, err := setupOf(ctx, s, before, requests, f)
	if err != nil {
		return plan.Planning{}, nil, err
	}
	rehearsal, err := bakery.Rehearse(before, func() (bakery.Setup, error) { return setup, nil }, time.Now)
	if err != nil {
		return plan.Planning{}, nil, err
	}
	p := plan.Planning{Before: before, RolesBefore: setup.Roles(), Against: "log"}
	if before.Setup != nil {
		p.RolesBefore = before.Setup.Roles()
	}
	r := &rehearser{rehearsal: rehearsal, opaque: opaque}
	r.all(requests)
	p.After, p.RolesAfter = rehearsal.Tree(), rehearsal.Roles()
	return p, r, nil
}

// setupOf is what the daemon's configuration says, and whether it lets root have lines that aren't modelled.
func setupOf(ctx context.Context, s *replay.Source, before *bakery.Tree, requests requests, f planFlags) (bakery.Setup, bool, error) {
	if f.config == "" {
		setup, err := s.Setup(ctx, before, requests.commits(), skeleton.DefaultLeaf())
		return setup, true, err
	}
	c, _, err := lqosconf.Load(f.config, func(words string) error { return bakery.CheckLeaf([]string{words}) })
	if err != nil {
		return bakery.Setup{}, false, err
	}
	opaque := c.Bakery.OpaqueLines == lqosconf.OpaqueAdmin || c.Bakery.OpaqueLines == lqosconf.OpaqueCommand
	facts := host.This().Asking(kernel.LinkQueues)
	setup, _ := skeleton.Of(c, facts)
	switch {
	case f.live():
		setup.TxQueues = facts.MadeTxQueues(setup.Links()...)
	case c.Queues.OverrideAvailableQueues == nil && before.Setup != nil: // this host isn't the log's
		setup.Queues = int(before.Setup.Down.Queues)
	}
	return setup, opaque, nil
}

// lookAtTarget reads what the plan is for, where that isn't the log.
func lookAtTarget(cmd *cobra.Command, p *plan.Planning, f planFlags) (err error) {
	links := append(p.Before.Links(), p.After.Links()...)
	slices.Sort(links)
	links = slices.Compact(links)
	if files := f.files(); len(files) > 0 {
		p.Against = strings.Join(files, ", ")
		p.Live, p.Only, err = diff.DescribedBy(cmd.Context(), f.link, links, files)
		return err
	}
	if !f.live() {
		return nil
	}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	seen, err := k.Observe(cmd.Context(), links, nil)
	if err != nil {
		return err
	}
	p.Against, p.Live = "the kernel", &diff.Live{Host: k.Host(), Links: seen, Unsteered: f.noMaps}
	if f.noMaps {
		return nil
	}
	return lookAtDataplane(cmd, p.After, f.bpfFS, p.Live)
}
