package host

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Availability says whether the running kernel has something.
type Availability string

// What can be known about a qdisc. Unknown is an answer: it means that asking the kernel itself is the only way.
const (
	Present  Availability = "present"  // built in, or its module is loaded
	Loadable Availability = "loadable" // its module is installed for this kernel
	Absent   Availability = "absent"
	Unknown  Availability = "unknown"
)

// qdiscFile maps a qdisc to the object file of net/sched that holds it, where that isn't sch_<kind>.
var qdiscFile = map[string]string{
	"pfifo": "sch_fifo", "bfifo": "sch_fifo", "clsact": "sch_ingress", "pfifo_fast": "sch_generic", "noqueue": "sch_generic",
}

// qdiscSymbol maps a qdisc to a function that its object file contains, where that isn't <kind>_enqueue. All are
// functions that the kernel calls through a pointer, so the compiler keeps them under their names.
var qdiscSymbol = map[string]string{
	"codel": "codel_qdisc_enqueue", "mq": "mq_init", "noqueue": "noqueue_init", "ingress": "ingress_init", "clsact": "clsact_init",
}

// QdiscAvailable says whether the running kernel has the qdisc of that kind ("cake", "fq_codel", …).
func (h Host) QdiscAvailable(kind string) Availability { return h.QdiscsAvailable(kind)[kind] }

// QdiscsAvailable says which of the kinds of qdisc the running kernel has.
//
// Places that are cheap to read come first: the modules that are loaded, the lists that depmod(8) keeps for this kernel, and
// the names in the kernel's own BTF, which has its functions. For what none of them knows the list of the kernel's functions,
// /proc/kallsyms, is read, which takes a tenth of a second. A kernel that shows no function of its qdisc core there
// (CONFIG_KALLSYMS off) and has no lists of modules gives Unknown.
func (h Host) QdiscsAvailable(kinds ...string) map[string]Availability {
	found := map[string]Availability{}
	symbols := map[string]string{} // of the kinds that aren't found yet
	listed := true                 // both lists could be read
	for _, kind := range kinds {
		var known bool
		if found[kind], known = h.qdiscModule(kind); found[kind] == "" {
			symbols[kind] = symbolOf(kind)
		}
		listed = listed && known
	}
	const core = "register_qdisc"
	var inKernel map[string]bool
	for _, look := range []func(names ...string) map[string]bool{h.inBTF, h.hasFunctions} {
		if len(symbols) == 0 {
			return found
		}
		inKernel = look(append(slices.Collect(maps.Values(symbols)), core)...)
		for kind, symbol := range symbols {
			if inKernel[symbol] {
				found[kind] = Present
				delete(symbols, kind)
			}
		}
	}
	for kind := range symbols {
		if found[kind] = Unknown; inKernel[core] || listed {
			found[kind] = Absent
		}
	}
	return found
}

// symbolOf is the function that tells that a qdisc is there.
func symbolOf(kind string) string {
	if symbol, ok := qdiscSymbol[kind]; ok {
		return symbol
	}
	return kind + "_enqueue"
}

// qdiscModule looks for the module of a qdisc: loaded, built in or installed; "" where it isn't found. known tells whether
// the lists of modules could be read.
func (h Host) qdiscModule(kind string) (a Availability, known bool) {
	file, ok := qdiscFile[kind]
	if !ok {
		file = "sch_" + kind
	}
	if _, err := fs.Stat(h.root, path.Join("sys/module", file)); err == nil {
		return Present, true
	}
	builtin, builtinKnown := h.listsModule("modules.builtin", file)
	loadable, loadableKnown := h.listsModule("modules.dep", file)
	switch {
	case builtin:
		a = Present
	case loadable:
		a = Loadable
	}
	return a, builtinKnown && loadableKnown
}

// inBTF looks names up among the strings of the kernel's BTF, which end with a zero byte each
// (Documentation/bpf/btf.rst). That has no functions of modules.
func (h Host) inBTF(names ...string) map[string]bool {
	found := map[string]bool{}
	f, err := h.root.Open("sys/kernel/btf/vmlinux")
	if err != nil {
		return found
	}
	defer func() { _ = f.Close() }()
	longest := 0
	for _, name := range names {
		longest = max(longest, len(name)+2)
	}
	b := make([]byte, 256<<10)
	for kept := 0; ; {
		n, err := f.Read(b[kept:])
		for _, name := range names {
			found[name] = found[name] || bytes.Contains(b[:kept+n], []byte("\x00"+name+"\x00"))
		}
		if err != nil {
			return found
		}
		kept = copy(b, b[max(0, kept+n-longest):kept+n])
	}
}

// hasFunctions looks names up in /proc/kallsyms: lines of address, type and name, and of modules the module's name. There are more
// than 100,000, of which hardly any has a name in it.
func (h Host) hasFunctions(names ...string) map[string]bool {
	found := map[string]bool{}
	wanted := make([][]byte, len(names))
	for i, name := range names {
		wanted[i] = []byte(name)
	}
	_ = h.rawLines("proc/kallsyms", func(line []byte) bool { // a file that can't be read has no functions
		for i, name := range wanted {
			if !bytes.Contains(line, name) {
				continue
			}
			if fields := bytes.Fields(line); len(fields) >= 3 && bytes.Equal(fields[2], name) {
				found[names[i]] = true
			}
		}
		return len(found) < len(names)
	})
	return found
}

// listsModule looks a module up in a list of depmod(8) for the running kernel: lines that start with a path like
// kernel/net/sched/sch_cake.ko.xz. known is false where the list can't be read.
func (h Host) listsModule(list, module string) (listed, known bool) {
	version, err := h.KernelVersion()
	if err != nil {
		return false, false
	}
	err = h.lines(path.Join("lib/modules", version, list), func(line string) bool {
		file, _, _ := strings.Cut(line, ":")
		name, _, _ := strings.Cut(path.Base(file), ".ko")
		listed = name == module
		return !listed
	})
	return listed, err == nil
}
