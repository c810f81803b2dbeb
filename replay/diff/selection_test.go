package diff

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lqosd/replay"
	"lqosd/replay/replaytest"
)

// choose chooses differences by terms as people write them.
func choose(t *testing.T, r Report, only, ignore []string) (Report, error) {
	t.Helper()
	var s Selection
	for _, list := range []struct {
		texts []string
		to    *[]Term
	}{{only, &s.Only}, {ignore, &s.Ignore}} {
		for _, text := range list.texts {
			term, err := ParseTerm(text)
			if err != nil {
				t.Fatal(err)
			}
			*list.to = append(*list.to, term)
		}
	}
	return r.Select(s)
}

func TestSelect(t *testing.T) {
	busy := compare(t, replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyDay(t))), 1, 2)
	for _, tc := range []struct {
		name         string
		only, ignore []string
		want         string
		network      string
	}{
		{"all", nil, nil, "8 to add, 8 to change, 6 to remove", "sites: 1 added; circuits: 1 added, 1 changed, 1 moved, 1 removed"},
		{"an object", []string{"object=mapping"}, nil, "2 to add, 2 to change, 2 to remove", "circuits: 3 changed"},
		{"objects, in two terms", []string{"object=mapping", "object=qdisc"}, nil, "4 to add, 4 to change, 4 to remove", ""},
		{"objects, in one term", []string{"object=mapping,qdisc"}, nil, "4 to add, 4 to change, 4 to remove", ""},
		{"two keys hold together", []string{"object=class", "link=eth0"}, nil, "2 to add, 2 to change, 1 to remove", ""},
		{"a site has what is in it", []string{"site=Southside"}, nil, "8 to add, 4 to change, 0 to remove", ""},
		{"a site has what has left it", []string{"site=AP-Ünïcödé-1"}, nil, "0 to add, 2 to change, 0 to remove", "circuits: 1 moved"},
		{"a site by its hash", []string{"site=4711"}, nil, "8 to add, 0 to change, 0 to remove", ""},
		{"a site as listings call it", []string{"site=-554356211208713208"}, nil, "0 to add, 4 to change, 0 to remove", ""},
		{"a circuit", []string{"circuit=c-11"}, nil, "0 to add, 4 to change, 0 to remove", "circuits: 1 changed"},
		{"a circuit by its hash", []string{"circuit=-50812970257580140"}, nil, "0 to add, 0 to change, 6 to remove", "circuits: 1 removed"},
		{"a circuit's name with commas is one", []string{`circuit=c,4`}, nil, "no difference", ""},
		{"changes", []string{"change=added,removed"}, nil, "8 to add, 0 to change, 6 to remove", ""},
		{"changed is moved, too", []string{"change=changed"}, nil, "0 to add, 8 to change, 0 to remove", ""},
		{"moved is not changed", []string{"change=moved"}, nil, "0 to add, 2 to change, 0 to remove", ""},
		{"a field is of what changed", []string{"field=ceil"}, nil, "0 to add, 2 to change, 0 to remove", "circuits: 1 changed"},
		{"without a field", nil, []string{"field=ceil,rtt"}, "8 to add, 4 to change, 6 to remove", "sites: 1 added; circuits: 1 added, 1 moved, 1 removed"},
		{"without a site", nil, []string{"site=Southside"}, "0 to add, 4 to change, 6 to remove", ""},
		{"without an unknown site", nil, []string{"site=Atlantis"}, "8 to add, 8 to change, 6 to remove", ""},
		{"who moved, without that", []string{"circuit=c-1"}, []string{"field=site,parent,class", "object=mapping"}, "no difference", ""},
		{"both", []string{"object=class"}, []string{"change=moved", "circuit=c-5"}, "4 to add, 2 to change, 0 to remove", ""},
	} {
		r, err := choose(t, busy, tc.only, tc.ignore)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := r.Totals.String(); got != tc.want {
			t.Errorf("%s: %s, want %s: %s", tc.name, got, tc.want, changes(r))
		}
		if got := r.Network.String(); tc.network != "" && got != tc.network {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.network)
		}
	}
	if got := busy.Totals.String(); got != "8 to add, 8 to change, 6 to remove" {
		t.Errorf("a selection has changed what it chose from: %s", got)
	}
	for _, unknown := range []string{"site=Atlantis", "circuit=Nemo", "link=eth9"} {
		if _, err := choose(t, busy, []string{unknown}, nil); err == nil || !strings.Contains(err.Error(), "neither side has such a") {
			t.Errorf("only %s: error %v", unknown, err)
		}
	}
}

func TestParseTerm(t *testing.T) {
	for text, want := range map[string]string{
		"rate": "want KEY=VALUE", "rate=": "want KEY=VALUE", "object=": "want KEY=VALUE",
		"colour=red":       "the keys are change, circuit, field, link, object, site",
		"object=house":     "class, qdisc, mapping, line, link",
		"object=class,":    "class, qdisc, mapping, line, link",
		"change=renamed":   "added, removed, changed, moved, replaced",
		"field=rate,speed": `"speed" is no field`,
	} {
		if _, err := ParseTerm(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

// TestFieldWords: what package tc compares can be named.
func TestFieldWords(t *testing.T) {
	files, err := os.ReadDir("../../bakery/tc")
	if err != nil {
		t.Fatal(err)
	}
	field := regexp.MustCompile(`\bl\.[a-zA-Z]+\("([a-z_-]+)"|\{"([a-z-]+)", o\.|FieldChange\{"([a-z]+)"`)
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile("../../bakery/tc/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range field.FindAllStringSubmatch(string(text), -1) {
			seen++
			if name := m[1] + m[2] + m[3]; !slices.Contains(fieldWords, name) {
				t.Errorf("%s: fieldWords lacks %s", f.Name(), name)
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d fields found", seen)
	}
}

func TestFails(t *testing.T) {
	busy := compare(t, replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyDay(t))), 1, 2)
	of := func(term string) Report {
		r, err := choose(t, busy, []string{term}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	live := of("change=added")
	live.Live = true
	for _, tc := range []struct {
		r    Report
		on   string
		want bool
	}{
		{busy, "", true}, {of("circuit=c,4"), "", false}, {of("change=added"), "removed,changed", false}, {of("change=added"), "removed,added", true},
		{of("change=moved"), "changed", true}, {of("change=moved"), "replaced", false}, {of("change=moved"), "moved", true},
		{busy, "drift", false}, {live, "drift", true}, {live, "removed", false}, {live, "removed,drift", true},
	} {
		on := strings.FieldsFunc(tc.on, func(r rune) bool { return r == ',' })
		if err := ParseFailOn(on); err != nil {
			t.Error(err)
		}
		if got := tc.r.Fails(on); got != tc.want {
			t.Errorf("%s, fail on %q: %v", tc.r.Totals, tc.on, got)
		}
	}
	if err := ParseFailOn([]string{"added", "broken"}); err == nil {
		t.Error("an unknown word is no error")
	}
}
