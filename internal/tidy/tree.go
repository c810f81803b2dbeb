package tidy

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is the module path of the repository.
const Module = "lqosd"

// Tree is a checkout: its files, sorted by path. Folders are those that files are in.
type Tree struct {
	Files []File
}

// File is one file of a checkout.
type File struct {
	Path   string // from the top, with slashes
	Text   []byte
	Syntax *Syntax // of a Go file of this module, testdata excepted; nil for others
	Broken error   // why a Go file has no Syntax
}

// Syntax is a parsed Go file.
type Syntax struct {
	*ast.File
	fset *token.FileSet
}

// Load reads the checkout at root. Which files belong to it git says: those it tracks and those it doesn't ignore.
// Where there is no git to ask it is every file but those in .git and those that .gitignore names.
func Load(root string) (Tree, error) {
	paths, err := listByGit(root)
	if err != nil {
		paths, err = listByWalk(root)
	}
	if err != nil {
		return Tree{}, fmt.Errorf("listing the files of %s: %w", root, err)
	}
	files := map[string][]byte{}
	for _, p := range paths {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
		switch {
		case errors.Is(err, fs.ErrNotExist): // tracked, and removed from the checkout
		case err != nil:
			return Tree{}, fmt.Errorf("reading a file of the checkout: %w", err)
		default:
			files[p] = text
		}
	}
	return newTree(files), nil
}

func listByGit(root string) ([]string, error) {
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("asking git: %w", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), nil
}

func listByWalk(root string) ([]string, error) {
	ignored := []string{".git"}
	if text, err := os.ReadFile(filepath.Join(root, ".gitignore")); err == nil {
		ignored = append(ignored, strings.Fields(string(text))...)
	}
	var paths []string
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		isIgnored := slices.ContainsFunc(ignored, func(pattern string) bool { return ignores(pattern, p) })
		switch {
		case err != nil:
			return err
		case isIgnored && d.IsDir():
			return fs.SkipDir
		case !isIgnored && d.Type().IsRegular():
			paths = append(paths, p)
		}
		return nil
	})
	return paths, err
}

// ignores knows the patterns of gitignore(5) that this repository uses: /path, with or without a slash at its end, and
// a glob for the last element.
func ignores(pattern, p string) bool {
	if top, ok := strings.CutPrefix(pattern, "/"); ok {
		return p == strings.TrimSuffix(top, "/")
	}
	match, err := path.Match(pattern, path.Base(p))
	return match && err == nil
}

// newTree is a Tree of files by path. It parses those that are Go code of this module.
func newTree(files map[string][]byte) Tree {
	var tree Tree
	for p, text := range files {
		f := File{Path: p, Text: text}
		if strings.HasSuffix(p, ".go") && !f.inTestdata() && !inOtherModule(p, files) {
			fset := token.NewFileSet()
			syntax, err := parser.ParseFile(fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				f.Broken = err
			} else {
				f.Syntax = &Syntax{syntax, fset}
			}
		}
		tree.Files = append(tree.Files, f)
	}
	slices.SortFunc(tree.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return tree
}

// inOtherModule says whether a folder above p, below the top, has a go.mod of its own.
func inOtherModule(p string, files map[string][]byte) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if _, ok := files[dir+"/go.mod"]; ok {
			return true
		}
	}
	return false
}

// has says whether the tree has a file or a folder at p.
func (t Tree) has(p string) bool {
	return p == "." || slices.ContainsFunc(t.Files, func(f File) bool {
		return f.Path == p || strings.HasPrefix(f.Path, p+"/")
	})
}

// goFiles are the files with a Syntax.
func (t Tree) goFiles() []File {
	return slices.DeleteFunc(slices.Clone(t.Files), func(f File) bool { return f.Syntax == nil })
}

// documents are the Markdown files, those of testdata excepted.
func (t Tree) documents() []File {
	return slices.DeleteFunc(slices.Clone(t.Files), func(f File) bool { return path.Ext(f.Path) != ".md" || f.inTestdata() })
}

func (f File) dir() string { return path.Dir(f.Path) }

func (f File) isTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

func (f File) inTestdata() bool { return slices.Contains(strings.Split(f.Path, "/"), "testdata") }

// isGenerated is the convention of `go help generate`.
func (f File) isGenerated() bool { return f.Syntax != nil && ast.IsGenerated(f.Syntax.File) }

// at is a finding at a node of the file.
func (f File) at(n ast.Node, format string, args ...any) Finding {
	return Finding{Path: f.Path, Line: f.line(n.Pos()), Text: fmt.Sprintf(format, args...)}
}

func (f File) line(pos token.Pos) int { return f.Syntax.fset.Position(pos).Line }

// localName is the name under which the file imports a package, or "".
func (f File) localName(importPath string) string {
	for _, spec := range f.Syntax.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// isMember says whether n is pkg.name, of the package that the file imports as pkg, for one of names.
func isMember(n ast.Node, pkg string, names ...string) (name string, ok bool) {
	sel, isSelector := n.(*ast.SelectorExpr)
	if !isSelector || pkg == "" {
		return "", false
	}
	x, isIdent := sel.X.(*ast.Ident)
	return sel.Sel.Name, isIdent && x.Name == pkg && slices.Contains(names, sel.Sel.Name)
}
