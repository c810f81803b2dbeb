package replay

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"lqosd/bakery"
)

// TestSiteHash compares with what a recorded client sent for the names that it was given.
func TestSiteHash(t *testing.T) {
	file, err := os.Open("../testdata/golden/n1000/trace-head.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	sites := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var call struct {
			Args struct {
				Site string `json:"site_name"`
			} `json:"args"`
			Bus struct {
				Request string `json:"request"`
				Hash    int64  `json:"site_hash"`
			} `json:"bus"`
		}
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			t.Fatal(err)
		}
		if call.Bus.Request != "BakeryAddSite" {
			continue
		}
		sites++
		if got := siteHash(call.Args.Site); got != call.Bus.Hash {
			t.Errorf("siteHash(%q) = %d, the client sent %d", call.Args.Site, got, call.Bus.Hash)
		}
	}
	if sites < 100 {
		t.Errorf("the recording has %d sites", sites)
	}
}

// TestSiteByItsName: a site that no circuit sits in is known by its hash alone, and goes by its name all the same.
func TestSiteByItsName(t *testing.T) {
	name := "Northside Tower"
	unnamed := bakery.Note{Role: bakery.RoleSite, Hash: siteHash(name)}
	if !Called(unnamed, name) {
		t.Errorf("site %d doesn't go by %q", unnamed.Hash, name)
	}
	for _, n := range []bakery.Note{
		{Role: bakery.RoleSite, Hash: unnamed.Hash, Comment: "Southside"},
		{Role: bakery.RoleCircuit, Hash: unnamed.Hash},
		{Role: bakery.RoleSite, Hash: unnamed.Hash + 1},
	} {
		if Called(n, name) {
			t.Errorf("%+v goes by %q", n, name)
		}
	}
}
