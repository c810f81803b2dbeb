package lqosconf_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
)

// TestTOMLOfRecordedClients writes the configuration of every recorded client, and reads it back.
func TestTOMLOfRecordedClients(t *testing.T) {
	cases, err := golden.Cases("../../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			want, err := c.Config("/srv/lqos")
			if err != nil {
				t.Fatal(err)
			}
			text, err := want.TOML()
			if err != nil {
				t.Fatal(err)
			}
			got, warnings, err := lqosconf.Parse(text, "written")
			if err != nil || len(warnings) > 0 {
				t.Fatalf("err %v, warnings %q in\n%s", err, warnings, text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}
