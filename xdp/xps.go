package xdp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// chooseQueues makes the programs be the only ones that choose tx queues of a link, and notes what
// there was.
func (p *Plane) chooseQueues(a *attached) {
	if a.index == 0 {
		return
	}
	s := openSysfs()
	defer func() { _ = s.Close() }()
	was := a.queues
	a.queues = Queues{}
	if err := p.silenceXPS(s, a); err != nil {
		a.queues.Why = err.Error()
	}
	if a.queues.Why != was.Why && a.queues.Why != "" {
		p.options.Logger.Warn("the kernel may choose other tx queues than the programs", "link", a.link, "reason", a.queues.Why)
	}
	a.queues.Cleared += was.Cleared
}

func (p *Plane) silenceXPS(s *sysfs, a *attached) error {
	folder, err := s.queues(a.link, a.index)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, "tx-*", "xps_*"))
	if err != nil {
		return err
	}
	a.queues.Tx = 0
	var errs []error
	for _, f := range files {
		if filepath.Base(f) == "xps_cpus" {
			a.queues.Tx++
		}
		errs = append(errs, p.silence(f, a))
	}
	return errors.Join(errs...)
}

// silence empties one mask.
func (p *Plane) silence(file string, a *attached) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, unix.ENOENT) { // a link with one queue has the file, but nothing in it
		return nil
	}
	if err != nil {
		return err
	}
	mask := strings.TrimSpace(string(text))
	if strings.Trim(mask, "0,") == "" {
		return nil
	}
	queue := strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "tx-")
	note := p.directory.in(fmt.Sprintf("%s%d-%s-%s", queueNotes, a.index, queue, filepath.Base(file)))
	if was, err := readNote(note); err == nil && was == "" { // the first one was there before us
		if err := writeNote(note, mask); err != nil {
			return err
		}
	}
	if err := os.WriteFile(file, []byte("0"), 0); err != nil {
		return err
	}
	a.queues.Cleared++
	return nil
}

// restoreQueues gives the masks back that were there before us, to links that are still there.
func (d *directory) restoreQueues() (restored []string, err error) {
	notes, err := filepath.Glob(d.in(queueNotes + "*"))
	if err != nil || len(notes) == 0 {
		return nil, err
	}
	s := openSysfs()
	defer func() { _ = s.Close() }()
	var errs []error
	for _, note := range notes {
		text, err := s.restore(note)
		if text != "" {
			restored = append(restored, text)
		}
		errs = append(errs, err)
	}
	return restored, errors.Join(errs...)
}

// restore writes the mask of a note back.
func (s *sysfs) restore(note string) (did string, err error) {
	parts := strings.SplitN(strings.TrimPrefix(filepath.Base(note), queueNotes), "-", 3)
	mask, err := readNote(note)
	if err != nil || len(parts) != 3 {
		return "", err
	}
	index, err := strconv.Atoi(parts[0])
	if err != nil {
		return "", err
	}
	link, err := net.InterfaceByIndex(index)
	if err != nil { // it is gone
		return "", nil
	}
	folder, err := s.queues(link.Name, index)
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "tx-"+parts[1], parts[2])
	if err := os.WriteFile(file, []byte(mask), 0); err != nil {
		return "", fmt.Errorf("giving queue %s of link %s back to XPS: %w", parts[1], link.Name, err)
	}
	return fmt.Sprintf("our choice of tx queue %s of %s: %s is %s again", parts[1], link.Name, parts[2], mask), nil
}
