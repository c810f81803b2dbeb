package host

import (
	"io/fs"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"lqosd/internal/testenv"
)

func TestQdiscAvailable(t *testing.T) {
	const (
		version  = "proc/sys/kernel/osrelease"
		kallsyms = "proc/kallsyms"
		builtin  = "lib/modules/6.1/modules.builtin"
		loadable = "lib/modules/6.1/modules.dep"
		btf      = "sys/kernel/btf/vmlinux"
	)
	core := "0000000000000000 T register_qdisc\n"
	for _, tc := range []struct {
		name, kind string
		host       map[string]string
		want       Availability
	}{
		{"built in", "htb", map[string]string{kallsyms: core + "0000000000000000 t htb_enqueue\n"}, Present},
		{"loaded module", "fq_codel", map[string]string{kallsyms: core + "0000000000000000 t fq_codel_enqueue\t[sch_fq_codel]\n"}, Present},
		{"a name within a name is another's", "fq", map[string]string{kallsyms: core + "0 t fq_codel_enqueue\n0 t xfq_enqueue\n"}, Absent},
		{"a symbol of another form", "mq", map[string]string{kallsyms: core + "0 t mq_init\n"}, Present},
		{"not in a kernel without modules", "cake", map[string]string{kallsyms: core}, Absent},
		{"installed module", "cake", map[string]string{
			version: "6.1\n", kallsyms: core, builtin: "kernel/net/sched/sch_htb.ko\n",
			loadable: "kernel/net/sched/sch_fq.ko:\nkernel/net/sched/sch_cake.ko.xz: kernel/lib/x.ko.xz\n",
		}, Loadable},
		{"built in by list", "htb", map[string]string{version: "6.1\n", builtin: "kernel/net/sched/sch_htb.ko\n", loadable: ""}, Present},
		{"in a file of another name", "clsact", map[string]string{version: "6.1\n", builtin: "", loadable: "kernel/net/sched/sch_ingress.ko:\n"}, Loadable},
		{"only named as a dependency", "cake", map[string]string{version: "6.1\n", builtin: "", loadable: "kernel/a.ko: kernel/net/sched/sch_cake.ko\n"}, Absent},
		{"module of another kernel", "cake", map[string]string{version: "6.2\n", builtin: "", loadable: "kernel/net/sched/sch_cake.ko:\n"}, Unknown},
		{"kallsyms hides its names", "cake", map[string]string{kallsyms: ""}, Unknown},
		{"nothing known", "cake", nil, Unknown},
		{"loaded, and installed", "cake", map[string]string{"sys/module/sch_cake/refcnt": "0\n", version: "6.1\n", loadable: "kernel/net/sched/sch_cake.ko:\n"}, Present},
		{"named in BTF", "htb", map[string]string{btf: "\x9f\xeb\x00register_qdisc\x00htb_enqueue\x00"}, Present},
		{"named in BTF, between two reads", "htb", map[string]string{btf: strings.Repeat("x", 256<<10-6) + "\x00htb_enqueue\x00" + strings.Repeat("x", 300<<10)}, Present},
		{"a name within a name of BTF", "fq", map[string]string{btf: "\x00xfq_enqueue\x00fq_enqueue_skb\x00", kallsyms: core}, Absent},
		{"BTF has no modules", "cake", map[string]string{btf: "\x00register_qdisc\x00"}, Unknown},
		{"not in BTF, but in the list of functions", "cake", map[string]string{btf: "\x00register_qdisc\x00", kallsyms: core + "0 t cake_enqueue\n"}, Present},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := files(tc.host).QdiscAvailable(tc.kind); got != tc.want {
				t.Errorf("QdiscAvailable(%s) = %s, want %s", tc.kind, got, tc.want)
			}
		})
	}
}

// TestQdiscsAvailable asks for several at once: each is found where it is, and the long list isn't read for what is known
// without it.
func TestQdiscsAvailable(t *testing.T) {
	got := files(map[string]string{"sys/module/sch_htb/refcnt": "0\n", "sys/kernel/btf/vmlinux": "\x00mq_init\x00",
		"proc/kallsyms": "0 T register_qdisc\n0 t pfifo_enqueue\n"}).QdiscsAvailable("mq", "htb", "pfifo", "cake")
	want := map[string]Availability{"mq": Present, "htb": Present, "pfifo": Present, "cake": Absent}
	if !maps.Equal(got, want) {
		t.Errorf("QdiscsAvailable = %v, want %v", got, want)
	}
	var opened []string
	h := At(watchedFS{files(map[string]string{"sys/kernel/btf/vmlinux": "\x00mq_init\x00htb_enqueue\x00", "proc/kallsyms": ""}).root, &opened})
	h.QdiscsAvailable("mq", "htb")
	if !slices.Contains(opened, "sys/kernel/btf/vmlinux") || slices.Contains(opened, "proc/kallsyms") {
		t.Errorf("opened were %q", opened)
	}
}

// watchedFS notes the names of files that are opened.
type watchedFS struct {
	fs.FS
	opened *[]string
}

func (w watchedFS) Open(name string) (fs.File, error) {
	*w.opened = append(*w.opened, name)
	return w.FS.Open(name)
}

// TestQdiscAvailableAgreesWithTheKernel asks this host's kernel for each qdisc.
func TestQdiscAvailableAgreesWithTheKernel(t *testing.T) {
	testenv.Need(t, testenv.TC)
	testenv.InNetns(t, func(t *testing.T) {
		run(t, "ip", "link", "add", "lqa", "numtxqueues", "2", "type", "veth", "peer", "name", "lqb")
		for kind, words := range map[string]string{
			"htb": "root", "pfifo": "root", "bfifo": "root", "fq_codel": "root", "cake": "root", "fq": "root", "sfq": "root", "codel": "root",
			"netem": "root", "mq": "root", "clsact": "clsact",
		} {
			args := []string{"qdisc", "add", "dev", "lqa", words, kind}
			if words == kind {
				args = args[:len(args)-1]
			}
			out, err := exec.Command("tc", args...).CombinedOutput()
			if err == nil {
				run(t, "tc", "qdisc", "del", "dev", "lqa", words)
			}
			claim := This().QdiscAvailable(kind)
			if lied := claim == Present && err != nil || claim == Absent && err == nil; lied {
				t.Errorf("QdiscAvailable(%s) = %s, and tc %s: %v %s", kind, claim, strings.Join(args, " "), err, out)
			}
			t.Logf("%s: %s", kind, claim)
		}
	})
}
