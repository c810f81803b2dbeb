package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/tree"
)

const treeLong = `Shows links, queues and classes at any moment, with names, rates, leaves, and how much of each
class is sold:

  Σ rates   the sum of the rates of the classes directly below ÷ the class's own rate:
            over ×1 not all of them can have their rates at once
  Σ ceils   the sum of their ceils ÷ its own ceil: ×3.20 is 3.2 times oversubscribed

The classes at the top of a queue are compared with the class that stands for the whole link,
the circuits of a link, in the line below its name, with its capacity.

Of more than --most children of a class the first are listed, and the others summed up; --json
leaves out none. --site, --circuit and --class show the path to one, and what is below it.`

type treeFlags struct {
	at          string
	target      targetFlags
	most, depth int
	all, json   bool
	names       nameFiles
}

func treeCommand() *cobra.Command {
	var f treeFlags
	cmd := &cobra.Command{
		Use:   "tree LOG",
		Short: "Show the tree at any moment",
		Long:  treeLong,
		Example: `  bakery-replay tree lqosd-state/eventlog --link eth1
  bakery-replay tree lqosd-state/eventlog --depth 1
  bakery-replay tree lqosd-state/eventlog --circuit "Smith & Sons" --at 4347
  bakery-replay tree lqosd-state/eventlog --at "yesterday 14:00" --json`,
		Args: cli.Args("LOG"),
	}
	run := withNamedLog(&f.names, func(cmd *cobra.Command, s *replay.Source) error { return printTree(cmd, s, f) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.depth < 0 || f.most < 1 {
			return cli.Usagef("--depth and --most must be 1 at least")
		}
		return run(cmd, args)
	}
	f.names.add(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.at, "at", "", "after record or time `SEQ|TIME` (default the end)")
	fs.StringVar(&f.target.link, "link", "", "only this link, `IF`")
	fs.StringVar(&f.target.site, "site", "", "the path to this site, `NAME|HASH`, and what is below it")
	fs.StringVar(&f.target.circuit, "circuit", "", "the path to this circuit, `NAME|HASH`")
	fs.StringVar(&f.target.class, "class", "", "the path to this class, `HANDLE`, and what is below it")
	fs.IntVar(&f.depth, "depth", 0, "list `N` levels of classes below a queue (default all)")
	fs.IntVar(&f.most, "most", 20, "list `N` children of a class at most")
	fs.BoolVar(&f.all, "all", false, "list all children of a class, and all address mappings")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func printTree(cmd *cobra.Command, s *replay.Source, f treeFlags) error {
	v := tree.View{Link: f.target.link, Most: f.most, Depth: f.depth, Colour: colourful(cmd.OutOrStdout())}
	if f.all {
		v.Most = 0
	}
	f.target.link = "" // the view's: a link alone is no path to something
	var err error
	if v.Target, err = f.target.target(); err != nil {
		return err
	}
	seq, err := moment(cmd.Context(), s, f.at)
	if err != nil {
		return err
	}
	t, err := s.Tree(cmd.Context(), seq)
	if err != nil {
		return err
	}
	if links := t.State().Links(); v.Link != "" && !slices.Contains(links, v.Link) {
		return fmt.Errorf("record %d: no link %q in the tree: it has %s", seq, v.Link, cmp.Or(strings.Join(links, " "), "none"))
	}
	if err := v.Find(t); err != nil {
		return fmt.Errorf("record %d: %w", seq, err)
	}
	if f.json {
		return encodeIndented(cmd.OutOrStdout(), tree.NewJSON(t, v))
	}
	return tree.Write(cmd.OutOrStdout(), t, v)
}
