package host

import (
	"bytes"
	"path"
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
//
// The list of the kernel's functions, /proc/kallsyms, is asked first: it is about the running kernel and holds loaded
// modules as well as what is built in. Then the lists of modules that depmod(8) keeps for this kernel. A kernel that
// shows no function of its qdisc core (CONFIG_KALLSYMS off) and has no such lists gives Unknown.
func (h Host) QdiscAvailable(kind string) Availability {
	symbol, ok := qdiscSymbol[kind]
	if !ok {
		symbol = kind + "_enqueue"
	}
	file, ok := qdiscFile[kind]
	if !ok {
		file = "sch_" + kind
	}
	inKernel := h.hasFunctions(symbol, "register_qdisc")
	if inKernel[symbol] {
		return Present
	}
	builtin, builtinKnown := h.listsModule("modules.builtin", file)
	loadable, loadableKnown := h.listsModule("modules.dep", file)
	switch {
	case builtin:
		return Present
	case loadable:
		return Loadable
	case inKernel["register_qdisc"] || builtinKnown && loadableKnown:
		return Absent
	default:
		return Unknown
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
