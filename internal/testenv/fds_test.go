package testenv

import (
	"os"
	"strings"
	"testing"
)

func TestNoLeakedFDs(t *testing.T) {
	var leaked *os.File
	r := &recorder{}
	got := r.run(func(tb testing.TB) {
		NoLeakedFDs(tb)
		leaked = open(t)
	})
	if want := os.DevNull + " (1)"; !strings.HasSuffix(got, want) {
		t.Errorf("a leaked descriptor: verdict %q, want …%q", got, want)
	}
	if err := leaked.Close(); err != nil {
		t.Fatal(err)
	}

	r = &recorder{}
	got = r.run(func(tb testing.TB) {
		NoLeakedFDs(tb)
		if err := open(t).Close(); err != nil {
			t.Error(err)
		}
	})
	if got != "" {
		t.Errorf("a closed descriptor: verdict %q, want none", got)
	}
}

func open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
