package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lqosd/replay"
)

// nameFiles are files with the names of sites.
type nameFiles []string

func (f *nameFiles) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar((*[]string)(f), "names", nil, "LibreQoS's network.json, `FILE`: names for sites that the log has none for; may be repeated")
}

// give gives a log the names.
func (f nameFiles) give(s *replay.Source) error {
	names := replay.SiteNames{}
	for _, name := range f {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("--names: %w", err)
		}
		err = names.Read(file)
		_ = file.Close()
		if err != nil {
			return fmt.Errorf("--names %s: %w", name, err)
		}
	}
	s.NameSites(names)
	return nil
}

// withNamedLog is withLog with the names.
func withNamedLog(f *nameFiles, use func(cmd *cobra.Command, s *replay.Source) error) func(*cobra.Command, []string) error {
	return withLog(func(cmd *cobra.Command, s *replay.Source) error {
		if err := f.give(s); err != nil {
			return err
		}
		return use(cmd, s)
	})
}
