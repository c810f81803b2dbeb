package testenv

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestEveryCapabilityIsRequired compares the list of LQOSD_REQUIRE in .ci/run with the capabilities there are: without one that is missing
// there a machine that lacks it skips its tests, and nobody sees that. CONTRIBUTING.md has the same list.
func TestEveryCapabilityIsRequired(t *testing.T) {
	for _, file := range []string{"../../.ci/run", "../../CONTRIBUTING.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := requiresAll(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

var requirement = regexp.MustCompile(`LQOSD_REQUIRE=([^ \n]*)`)

// requiresAll wants every LQOSD_REQUIRE in text to list all capabilities.
func requiresAll(text []byte) error {
	lists := requirement.FindAllSubmatch(text, -1)
	if len(lists) == 0 {
		return errors.New("no LQOSD_REQUIRE is set")
	}
	var wrong []error
	for _, list := range lists {
		listed, err := parseRequired(string(list[1]))
		wrong = append(wrong, err)
		for _, c := range slices.Sorted(maps.Keys(probes)) {
			if err == nil && !slices.Contains(listed, c) {
				wrong = append(wrong, fmt.Errorf("LQOSD_REQUIRE doesn't list %s", c))
			}
		}
	}
	return errors.Join(wrong...)
}
