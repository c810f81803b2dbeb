package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/internal/cli"
	"lqosd/replay"
)

func treeCommand() *cobra.Command {
	var at, link string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tree LOG",
		Short: "Show the tree at any moment",
		Long: `Shows the tree of classes as it was at a moment: each class with its site or circuit, rate … ceil,
and its leaf, then the address mappings.`,
		Example: `  bakery-replay tree lqosd-state/eventlog --link eth1
  bakery-replay tree lqosd-state/eventlog --at "yesterday 14:00" --json`,
		Args: cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error {
			seq, err := moment(cmd.Context(), s, at)
			if err != nil {
				return err
			}
			t, err := s.Tree(cmd.Context(), seq)
			if err != nil {
				return err
			}
			if links := t.State().Links(); link != "" && !slices.Contains(links, link) {
				return fmt.Errorf("record %d: no link %q in the tree: it has %s", seq, link, cmp.Or(strings.Join(links, " "), "none"))
			}
			return printTree(cmd.OutOrStdout(), t, link, asJSON)
		}),
	}
	cmd.Flags().StringVar(&at, "at", "", "after record or time `SEQ|TIME` (default the end)")
	cmd.Flags().StringVar(&link, "link", "", "only this link, `IF`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printTree(w io.Writer, t *bakery.Tree, link string, asJSON bool) error {
	if !asJSON {
		return replay.WriteTree(w, t, link)
	}
	return encodeIndented(w, replay.NewTreeJSON(t, link))
}
