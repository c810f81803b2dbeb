package kerneltest

import (
	"errors"
	"testing"

	"lqosd/bakery/tc"
)

// Meddle ends at the first line that fails, and says which.
func TestMeddleFails(t *testing.T) {
	f := New(Link{Name: "v0"})
	err := f.Meddle(addRoot, addRoot, addClass)
	const want = "meddling: " + addRoot + ": Exclusivity flag on, cannot modify. (already exists)"
	if !errors.Is(err, tc.ErrExists) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	has(t, f, addRoot)
	if n := len(f.Writes()); n != 0 {
		t.Errorf("%d of our own writes", n)
	}
	for _, line := range []string{"filter add dev v0 parent 1: u32", "class add dev v0 parent 1: classid 1:1 hfsc", "qdisc add dev v0", "nonsense"} {
		if f.Meddle(line) == nil {
			t.Errorf("%q is done", line)
		}
	}
}

// A qdisc of a kind that isn't modelled is Foreign, and can be deleted.
func TestMeddleForeign(t *testing.T) {
	f := New(Link{Name: "v0"})
	if err := f.Meddle("tc qdisc add dev v0 root handle 5: prio bands 4"); err != nil {
		t.Fatal(err)
	}
	q, _ := f.State("v0").Qdisc("v0", tc.Root)
	if q.Options != (tc.Foreign{Name: "prio"}) || q.Handle != tc.NewHandle(5, 0) {
		t.Errorf("%+v", q)
	}
	if r := apply(t, f, addRoot, "qdisc replace dev v0 root handle 1: htb"); !errors.Is(r[0].Err, tc.ErrExists) || r[1].Err != nil {
		t.Errorf("%v", r)
	}
	has(t, f, addRoot)
}

func TestExecute(t *testing.T) {
	f := New(Link{Name: "v0"})
	refused := errors.New("tc ended with 2")
	f.OnExecute(func(line string) error {
		if line == addClass {
			return refused
		}
		return nil
	})
	const filter = "filter add dev v0 parent 1: u32"
	for line, want := range map[string]error{addRoot: nil, addClass: refused, filter: nil} {
		if err := f.Execute(t.Context(), line); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", line, err, want)
		}
	}
	has(t, f, addRoot)
	if got := f.Executed(); len(got) != 3 || f.Counts().Executed != 3 || len(f.Writes()) != 0 {
		t.Errorf("executed %q, wrote %q", got, f.Writes())
	}
}

func TestReboot(t *testing.T) {
	f := New(Link{Name: "v0", TxQueues: 2})
	apply(t, f, addRoot, addClass)
	id := f.Identity()
	f.Reboot()
	if f.Identity() == id {
		t.Error("the same kernel")
	}
	has(t, f, "")
	all, err := f.Observe(t.Context(), []string{"v0"}, nil)
	if err != nil || all["v0"].TxQueues != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}
