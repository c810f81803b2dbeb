package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// scripted is a kernel that notes what it is asked.
type scripted struct {
	shaped []string
	fails  bool // the first Observe
	asked  [][]string
}

func (k *scripted) Shaped(context.Context) ([]string, error) { return k.shaped, nil }

var errScripted = errors.New("scripted")

func (k *scripted) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	k.asked = append(k.asked, links)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k.fails && len(k.asked) == 1 {
		return nil, errScripted
	}
	seen := map[string]tc.Observed{}
	for _, l := range links {
		seen[l] = tc.Observed{Index: len(k.asked)}
	}
	return seen, nil
}

func TestFoldAndObserve(t *testing.T) {
	tree, refused := bakery.FoldScript("qdisc add dev eth0 root handle 7fff: mq\nqdisc add dev eth1 root handle 7fff: mq\n")
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	tests := map[string]struct {
		kernel scripted
		asked  [][]string
	}{
		"all read ahead":       {scripted{shaped: []string{"eth0", "eth1", "wan"}}, [][]string{{"eth0", "eth1", "wan"}}},
		"one not read ahead":   {scripted{shaped: []string{"eth1"}}, [][]string{{"eth1"}, {"eth0", "eth1"}}},
		"reading ahead failed": {scripted{shaped: []string{"eth0", "eth1"}, fails: true}, [][]string{{"eth0", "eth1"}, {"eth0", "eth1"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := test.kernel
			got, seen, err := foldAndObserve(t.Context(), &k, func(context.Context) (*bakery.Tree, error) { return tree, nil })
			if err != nil || got != tree {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.asked, k.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			for _, l := range []string{"eth0", "eth1"} {
				if seen[l].Index != len(test.asked) {
					t.Errorf("%s is of reading %d, want the last", l, seen[l].Index)
				}
			}
		})
	}
}

// TestFoldFails: what can't be folded ends what reads ahead, and nothing goes on in the background.
func TestFoldFails(t *testing.T) {
	k := &scripted{shaped: []string{"eth0"}}
	_, _, err := foldAndObserve(t.Context(), k, func(context.Context) (*bakery.Tree, error) { return nil, errScripted })
	if !errors.Is(err, errScripted) || len(k.asked) != 1 {
		t.Errorf("error %v, %d readings", err, len(k.asked))
	}
}
