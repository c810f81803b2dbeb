package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lqosd/bakery"
	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/diff"
)

// completions are the values that a shell is offered: those of flags that choose something of a log come from that log.
func completions(what cli.Value) func(ctx context.Context, args []string) []string {
	switch {
	case what.Flag == "kind":
		return func(context.Context, []string) []string { return bakery.KindNames() }
	case what.Flag == "link":
		return ofTree(func(t *bakery.Tree, _ func(string)) []string { return t.State().Links() })
	case what.Flag == "class":
		return ofTree(classIDs)
	case what.Flag == "address":
		return ofTree(func(t *bakery.Tree, add func(string)) []string {
			for m := range t.Mappings {
				add(m.Prefix.String())
			}
			return nil
		})
	case what.Flag == "site":
		return ofTree(named(bakery.RoleSite))
	case what.Flag == "circuit":
		return ofTree(named(bakery.RoleCircuit))
	case what.Flag == "only", what.Flag == "ignore":
		names := ofTree(func(t *bakery.Tree, add func(string)) []string {
			term := func(key string) func(string) { return func(value string) { add(key + "=" + value) } }
			for _, link := range t.State().Links() {
				term("link")(link)
			}
			named(bakery.RoleSite)(t, term("site"))
			named(bakery.RoleCircuit)(t, term("circuit"))
			return nil
		})
		return func(ctx context.Context, args []string) []string {
			return slices.Concat(diff.KnownTerms(), names(ctx, args))
		}
	case what.Command == "whois" && what.Flag == "":
		return ofTree(named(bakery.RoleSite, bakery.RoleCircuit))
	case strings.Contains(what.Placeholder, "SEQ"):
		return func(context.Context, []string) []string { return []string{"now"} }
	}
	return nil
}

// ofTree gives values of the newest Tree of the log that the first argument names, a directory: what could be folded of it in time.
func ofTree(list func(t *bakery.Tree, add func(string)) []string) func(context.Context, []string) []string {
	return func(ctx context.Context, args []string) []string {
		if len(args) == 0 || strings.HasPrefix(args[0], "unix:") {
			return nil
		}
		dir, _, err := localLog(ctx, nil, args[0])
		if err != nil {
			return nil
		}
		s, err := replay.Open(dir)
		if err != nil {
			return nil
		}
		defer func() { _ = s.Close() }()
		t, _ := s.Tree(ctx, s.Last())
		if t == nil {
			return nil
		}
		found := map[string]bool{}
		more := list(t, func(v string) { found[v] = true })
		return slices.Concat(more, slices.Sorted(maps.Keys(found)))
	}
}

func classIDs(t *bakery.Tree, add func(string)) []string {
	for at := range t.Notes {
		add(at.ID.String())
	}
	return nil
}

// named lists the sites or circuits, each by its name or else its hash.
func named(roles ...bakery.Role) func(*bakery.Tree, func(string)) []string {
	return func(t *bakery.Tree, add func(string)) []string {
		for _, n := range t.Notes {
			switch {
			case !slices.Contains(roles, n.Role):
			case n.Comment != "":
				add(n.Comment)
			default:
				add(strconv.FormatInt(n.Hash, 10))
			}
		}
		return nil
	}
}
