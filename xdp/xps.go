package xdp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The programs set the tx queue of a packet, but the kernel asks XPS first which queue the CPU
// that sends has (netdev_pick_tx in net/core/dev.c), and only without an answer takes theirs.
// So XPS is switched off on the links: no CPU and no rx queue has a tx queue there
// (Documentation/networking/scaling.rst).

// sysfs shows this network namespace. /sys may show another one: what `nsenter --net` starts
// sees that of its parent.
type sysfs struct {
	path string
	fd   *os.File // of path, if it leads through a descriptor
}

func (s *sysfs) Close() error {
	if s.fd == nil {
		return nil
	}
	return s.fd.Close()
}

// openSysfs mounts a sysfs that no path leads to, or where that isn't permitted takes /sys.
func openSysfs() *sysfs {
	fd, err := mountSysfs()
	if err != nil {
		return &sysfs{path: "/sys"}
	}
	return &sysfs{path: "/proc/self/fd/" + strconv.Itoa(fd), fd: os.NewFile(uintptr(fd), "sysfs")}
}

// mountSysfs gives a descriptor of a fresh sysfs: it is that of the network namespace of
// who mounts it (sysfs_init_fs_context in fs/sysfs/mount.c).
func mountSysfs() (int, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
}

// queues is the folder of a link's queues, if it is that link's.
func (s *sysfs) queues(name string, index int) (string, error) {
	link := filepath.Join(s.path, "class/net", name)
	text, err := os.ReadFile(filepath.Join(link, "ifindex"))
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(string(text)) != strconv.Itoa(index) {
		return "", fmt.Errorf("/sys shows another network namespace")
	}
	return filepath.Join(link, "queues"), nil
}

// mask is a file of XPS: which CPUs, or rx queues, have a tx queue.
type mask struct {
	index int    // of the link
	queue string // tx-0
	file  string // xps_cpus or xps_rxqs
}

// note is the name of the note of what was in it. Masks are of hundreds of bytes at most.
func (m mask) note() string { return fmt.Sprintf("%s%d-%s-%s", queueNotes, m.index, m.queue, m.file) }

func parseMask(note string) (m mask, ok bool) {
	text, ok := strings.CutPrefix(note, queueNotes)
	parts := strings.Split(text, "-") // 7, tx, 0, xps_cpus
	if !ok || len(parts) != 4 {
		return mask{}, false
	}
	index, err := strconv.Atoi(parts[0])
	return mask{index, parts[1] + "-" + parts[2], parts[3]}, err == nil
}

// chooseQueues makes the programs be the only ones that choose tx queues of a link, and notes what
// there was.
func (p *Plane) chooseQueues(a *attached) {
	if a.index == 0 {
		return
	}
	s := openSysfs()
	defer func() { _ = s.Close() }()
	was := a.queues
	a.queues, a.spread = Queues{Cleared: was.Cleared}, true
	if err := p.silenceXPS(s, a); err != nil {
		a.queues.Why = err.Error()
	}
	if a.queues.Why != was.Why && a.queues.Why != "" {
		p.options.Logger.Warn("the kernel may choose other tx queues than the programs", "link", a.link, "reason", a.queues.Why)
	}
}

func (p *Plane) silenceXPS(s *sysfs, a *attached) error {
	folder, err := s.queues(a.link, a.index)
	if err != nil {
		return err
	}
	queues, err := folders(folder, "tx-")
	if err != nil {
		return err
	}
	a.queues.Tx = len(queues)
	for _, queue := range queues {
		for _, file := range []string{"xps_cpus", "xps_rxqs"} {
			m := mask{a.index, queue, file}
			cleared, err := p.silence(m, filepath.Join(folder, queue, file))
			if err != nil {
				return err // that of the others is the same
			}
			if cleared {
				a.queues.Cleared++
			}
		}
	}
	return nil
}

// silence empties a mask, and notes what there was before us.
func (p *Plane) silence(m mask, path string) (cleared bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, unix.ENOENT) { // a kernel without XPS, or a link with one queue
		return false, nil
	}
	if err != nil {
		return false, err
	}
	set := strings.TrimSpace(string(text))
	if strings.Trim(set, "0,") == "" {
		return false, nil
	}
	note := p.directory.in(m.note())
	if was, err := readNote(note); err != nil || was == "" {
		if err := errors.Join(err, writeNote(note, set)); err != nil {
			return false, err
		}
	}
	return true, os.WriteFile(path, []byte("0"), 0)
}

// restoreQueues gives masks back that were there before us, but for those of some links, and
// forgets them.
func (d *directory) restoreQueues(but []int) (restored []string, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	s := openSysfs()
	defer func() { _ = s.Close() }()
	var errs []error
	for _, e := range entries {
		m, ok := parseMask(e.Name())
		if !ok || slices.Contains(but, m.index) {
			continue
		}
		text, err := s.restore(m, d.in(e.Name()))
		if text != "" {
			restored = append(restored, text)
		}
		if err == nil {
			err = os.Remove(d.in(e.Name()))
		}
		errs = append(errs, err)
	}
	return restored, errors.Join(errs...)
}

// nameOf is the name of the link with an index, "" if there is none.
func nameOf(index int) (string, error) {
	links, err := net.Interfaces() // asked for one, package net hides that it isn't there in an error of no kind
	if err != nil {
		return "", err
	}
	for _, l := range links {
		if l.Index == index {
			return l.Name, nil
		}
	}
	return "", nil
}

// restore writes a mask back that a note has. A link that is gone has no more need of it.
func (s *sysfs) restore(m mask, note string) (did string, err error) {
	text, err := readNote(note)
	if err != nil {
		return "", err
	}
	name, err := nameOf(m.index)
	if err != nil || name == "" {
		return "", err
	}
	folder, err := s.queues(name, m.index)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, m.queue, m.file), []byte(text), 0); err != nil {
		return "", fmt.Errorf("giving %s of link %s back to XPS: %w", m.queue, name, err)
	}
	return fmt.Sprintf("the choice of %s on %s: %s is %s again", m.queue, name, m.file, text), nil
}
