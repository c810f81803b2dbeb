package main

import (
	"net/netip"

	"github.com/spf13/cobra"

	"lqosd/bakery/tc"
	"lqosd/internal/cli"
	"lqosd/replay"
)

// targetFlags choose a class, a site or circuit, or an address.
type targetFlags struct{ link, class, site, circuit, address string }

func (f *targetFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.link, "link", "", "only what concerns this link, `IF`")
	fs.StringVar(&f.class, "class", "", "only what concerns this class, `HANDLE`")
	fs.StringVar(&f.site, "site", "", "only what concerns this site, `NAME|HASH`")
	fs.StringVar(&f.circuit, "circuit", "", "only what concerns this circuit, `NAME|HASH`")
	fs.StringVar(&f.address, "address", "", "only mappings of this `ADDRESS|PREFIX`")
}

func (f targetFlags) target() (replay.Target, error) {
	t := replay.Target{Link: f.link, Site: f.site, Circuit: f.circuit}
	if f.class != "" {
		var err error
		if t.Class, err = tc.ParseHandle(f.class); err != nil || t.Class.Minor() == 0 {
			return t, cli.Usagef("--class %q: want MAJOR:MINOR in hex, like 1:4a2", f.class)
		}
	}
	if f.address != "" {
		var err error
		if t.Address, err = parseAddress(f.address); err != nil {
			return t, err
		}
	}
	return t, nil
}

// parseAddress reads an address, or a prefix.
func parseAddress(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, cli.Usagef("--address %q: neither an IP address nor a prefix", s)
	}
	return p.Masked(), nil
}
