package tidy

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// row says what the packages at and below a folder may import beside the standard library and each other.
type row struct {
	folder  string
	imports []string // folders of this module that have a row, and modules or packages of others
	tests   []string // what its tests may import in addition
	all     bool     // anything: the rim, where everything is wired together
}

// importTable has a row for every package. The row with the longest folder counts.
var importTable = []row{
	{folder: "bakery/radix"},
	{folder: "bakery/tc", imports: []string{"bakery/radix"}},
	{folder: "bakery/kernel", imports: []string{"bakery/tc", "github.com/vishvananda/netlink", "github.com/vishvananda/netns", "github.com/mdlayher/netlink", "golang.org/x/sys"}, tests: []string{"github.com/cilium/ebpf"}},
	{folder: "bakery/kerneltest", imports: []string{"bakery", "bakery/tc", "github.com/google/go-cmp"}},
	{folder: "bakery", imports: []string{"eventlog", "bakery/radix", "bakery/tc", "github.com/tidwall/btree"}, tests: []string{"bus"}},
	{folder: "eventlog", imports: []string{"go.etcd.io/bbolt", "github.com/zeebo/blake3", "github.com/klauspost/compress", "golang.org/x/sys"}},
	{folder: "eventlog/eventlogtest", imports: []string{"eventlog"}},
	{folder: "bus", imports: []string{"github.com/fxamacker/cbor/v2", "golang.org/x/sys"}},
	{folder: "xdp", imports: []string{"bakery/tc", "github.com/cilium/ebpf", "golang.org/x/sys"}, tests: []string{"bakery/kernel"}},
	{folder: "replay", imports: []string{"eventlog", "bakery", "bakery/tc"}},
	{folder: "replay/replaytest", imports: []string{"eventlog", "bakery"}},
	{folder: "replay/listing", imports: []string{"bakery"}},
	{folder: "replay/diff", imports: []string{"replay", "replay/listing", "eventlog", "bakery", "bakery/tc"}},
	{folder: "replay/plan", imports: []string{"replay/diff", "replay/listing", "eventlog", "bakery", "bakery/tc"}},
	{folder: "replay/tree", imports: []string{"replay", "replay/listing", "eventlog", "bakery", "bakery/tc"}},
	{folder: "replay/history", imports: []string{"replay", "replay/diff", "replay/listing", "eventlog", "bakery", "bakery/tc"}},
	{folder: "replay/report", imports: []string{"replay", "replay/diff", "replay/history", "replay/tree", "eventlog", "bakery", "bakery/tc"}, tests: []string{"golang.org/x/net"}},
	{folder: "internal/lqosconf", imports: []string{"github.com/pelletier/go-toml/v2"}},
	{folder: "internal/host", imports: []string{"golang.org/x/sys"}},
	{folder: "internal/skeleton", imports: []string{"bakery", "internal/host", "internal/lqosconf"}},
	{folder: "internal/testenv", imports: []string{"golang.org/x/sys"}},
	{folder: "internal/powercut", imports: []string{"github.com/hanwen/go-fuse/v2"}},
	{folder: "internal/tidy"},
	{folder: "internal/cli", imports: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/vbauerster/mpb/v8", "charm.land/lipgloss/v2", "golang.org/x/term"}},
	{folder: "internal/testsum"},
	{folder: "internal/scripts", imports: []string{"github.com/rogpeppe/go-internal/testscript", "github.com/spf13/cobra", "github.com/spf13/pflag"}},
	{folder: "internal/golden", imports: []string{"internal/lqosconf"}},
	{folder: "internal/demo", all: true},
	{folder: "internal/bench", all: true},
	{folder: "internal/sim", imports: []string{"eventlog", "eventlog/eventlogtest", "bakery", "bakery/tc", "bakery/kerneltest", "replay/diff"}},
	{folder: "cmd", all: true},
}

// testImports is what tests may import in addition, whatever they test.
var testImports = []string{
	"internal/testenv", "internal/golden", "internal/powercut", "bakery/kerneltest", "replay/replaytest",
	"github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak", "golang.org/x/tools/txtar",
	"github.com/rogpeppe/go-internal", "github.com/anishathalye/porcupine", "github.com/florianl/go-tc", "github.com/hanwen/go-fuse/v2",
	"github.com/santhosh-tekuri/jsonschema/v6",
}

func checkImports(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		r, ok := rowOf(f.dir())
		if !ok {
			found = append(found, Finding{Path: f.Path, Text: "package " + f.dir() + " has no row in importTable of internal/tidy"})
			continue
		}
		for _, spec := range f.Syntax.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if !r.allows(imported, f.isTest()) {
				found = append(found, f.at(spec, "%s may not import %s", r.folder, imported))
			}
			if spec.Name != nil && spec.Name.Name == "." {
				found = append(found, f.at(spec, "dot import of %s: it hides where names come from", imported))
			}
		}
	}
	return found
}

// rowOf finds the row for the package in a folder.
func rowOf(folder string) (best row, ok bool) {
	for _, r := range importTable {
		if within(folder, r.folder) && len(r.folder) > len(best.folder) {
			best, ok = r, true
		}
	}
	return best, ok
}

// allows says whether packages of the row may import a package; test is whether a test does.
func (r row) allows(imported string, test bool) bool {
	local, isLocal := strings.CutPrefix(imported, Module+"/")
	if r.all || !isLocal && isStandard(imported) {
		return true
	}
	allowed := r.imports
	if test {
		allowed = slices.Concat(allowed, r.tests, testImports)
	}
	if !isLocal {
		return slices.ContainsFunc(allowed, func(a string) bool { return within(imported, a) })
	}
	other, ok := rowOf(local)
	return ok && (other.folder == r.folder || slices.Contains(allowed, other.folder))
}

// isStandard says whether an import path is of the standard library: no other begins with a word without a dot.
// "C" is cgo, which the binaries are built without.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && first != "C" && first != Module
}

// within says whether p is folder or below it.
func within(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, folder+"/")
}

// pureFolders hold packages whose result depends on nothing but their arguments, so that a log folds to the same tree
// on any machine and on any day. Tests in them may do as they like.
var pureFolders = []string{"bakery", "bakery/tc"}

// impure are packages, with those below them, that reach out of the process or roll dice. net/netip is only words.
var impure = []string{"os", "net", "io/ioutil", "syscall", "math/rand", "crypto/rand"}

func checkPurity(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		if r, _ := rowOf(f.dir()); f.isTest() || !slices.Contains(pureFolders, r.folder) {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if imported != "net/netip" && slices.ContainsFunc(impure, func(i string) bool { return within(imported, i) }) {
				found = append(found, f.at(spec, "imports %s: effects live at the rim", imported))
			}
		}
		pkg := f.localName("time")
		ast.Inspect(f.Syntax.File, func(n ast.Node) bool {
			if name, ok := isMember(n, pkg, "Now", "Since", "Until"); ok {
				found = append(found, f.at(n, "reads the clock with time.%s: what the clock says is stamped once, at append", name))
			}
			return true
		})
	}
	return found
}

// reaches are the folders that a row may import, itself and in turns, or an error when it names one that has no row.
func (r row) reaches() ([]string, error) {
	seen := []string{r.folder}
	for i := 0; i < len(seen); i++ {
		next, ok := rowOf(seen[i])
		if !ok || next.folder != seen[i] {
			return nil, fmt.Errorf("%s has no row", seen[i])
		}
		for _, imported := range next.imports {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") && !slices.Contains(seen, imported) {
				seen = append(seen, imported)
			}
		}
	}
	return seen, nil
}
