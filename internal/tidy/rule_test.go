package tidy

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestRepository applies every rule to this repository.
func TestRepository(t *testing.T) {
	tree, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !tree.has("internal/tidy/rule_test.go") {
		t.Fatal("the checkout was read without this file in it")
	}
	for _, rule := range Rules {
		t.Run(rule.Name, func(t *testing.T) {
			for _, f := range rule.Findings(tree) {
				t.Error(f)
			}
		})
	}
}

// TestRules applies each rule to the tree in its file of testdata, which breaks it, and compares the findings with
// the file's last part, "want".
func TestRules(t *testing.T) {
	for _, rule := range Rules {
		t.Run(rule.Name, func(t *testing.T) {
			golden := filepath.Join("testdata", rule.Name+".txtar")
			archive, err := txtar.ParseFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			last := len(archive.Files) - 1
			if last < 0 || archive.Files[last].Name != "want" {
				t.Fatalf("%s doesn't end with its findings, want", golden)
			}
			var got strings.Builder
			for _, f := range rule.Findings(fakeTree(archive.Files[:last])) {
				got.WriteString(f.String() + "\n")
			}
			if *update {
				archive.Files[last].Data = []byte(got.String())
				if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := string(archive.Files[last].Data)
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if want == "" {
				t.Error("the tree breaks no rule, so it proves nothing")
			}
			if found := rule.Findings(fakeTree(nil)); len(found) > 0 {
				t.Errorf("findings in an empty tree: %v", found)
			}
		})
	}
}

// fill is a line of a fake tree that stands for many.
var fill = regexp.MustCompile(`(?m)^// fill (\d+)\n`)

func fakeTree(archive []txtar.File) Tree {
	files := map[string][]byte{}
	for _, f := range archive {
		files[f.Name] = fill.ReplaceAllFunc(f.Data, func(line []byte) []byte {
			n, _ := strconv.Atoi(string(fill.FindSubmatch(line)[1]))
			return []byte(strings.Repeat("//\n", n))
		})
	}
	return newTree(files)
}

// TestImportTableKeepsFoldersApart follows the table: kernel, xdp and bus never meet, and replay reaches none of them.
func TestImportTableKeepsFoldersApart(t *testing.T) {
	effects := []string{"bakery/kernel", "xdp", "bus"}
	for _, r := range importTable {
		if r.all {
			continue
		}
		reached, err := r.reaches()
		if err != nil {
			t.Errorf("%s: %v", r.folder, err)
		}
		met := slices.DeleteFunc(slices.Clone(reached), func(f string) bool { return !slices.Contains(effects, f) })
		if len(met) > 1 {
			t.Errorf("%s reaches %v", r.folder, met)
		}
		if r.folder == "replay" && len(met) > 0 {
			t.Errorf("replay reaches %v", met)
		}
	}
}

// TestLoadWithoutGit reads a folder that is no git checkout.
func TestLoadWithoutGit(t *testing.T) {
	root := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(root))
	for name, text := range map[string]string{
		"a.go": "package a\n", "sub/bin/a.go": "package a\n", ".gitignore": "/bin/\n/tc-rust.txt\n*.prof\n",
		".git/x.go": "package x\n", "bin/x": "", "tc-rust.txt": "", "sub/cpu.prof": "",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range tree.Files {
		got = append(got, f.Path)
	}
	if want := []string{".gitignore", "a.go", "sub/bin/a.go"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}
