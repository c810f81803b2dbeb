package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	systemdProgram = "/lib/systemd/systemd"

	// guestServiceEnv is set for the process that systemd starts in a machine, to run the job.
	guestServiceEnv = "LQOSD_TEST_VM_SERVICE"

	newRoot      = guestRun + "/root" // becomes /
	guestUnits   = guestRun + "/units"
	guestService = "testenv.service"
	guestBinary  = guestRun + "/testenv" // leads to the job's
)

// bootUnits are the units of Debian that a machine with systemd has: the targets, and what makes users, folders, modules and
// the journal. Its other units have nothing to do there, and the host may have any of other packages.
var bootUnits = strings.Fields(`
	sysinit.target basic.target sockets.target multi-user.target local-fs.target local-fs-pre.target slices.target paths.target
	timers.target network.target shutdown.target umount.target final.target poweroff.target
	systemd-sysusers.service systemd-tmpfiles-setup.service systemd-modules-load.service
	systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket`)

// wantedUnits are links that Debian has, too.
var wantedUnits = map[string][]string{
	"sysinit.target.wants":    {"systemd-sysusers.service", "systemd-tmpfiles-setup.service", "systemd-modules-load.service", "systemd-journald.service"},
	"sockets.target.wants":    {"systemd-journald.socket", "systemd-journald-dev-log.socket"},
	"multi-user.target.wants": {guestService},
}

// guestServiceUnit is the unit that runs the job.
const guestServiceUnit = `[Service]
Type=exec
ExecStart=` + guestBinary + `
Environment=` + guestServiceEnv + `=1
StandardOutput=null
LimitNOFILE=524288
TasksMax=infinity
`

// becomeSystemd makes this process, the first of a machine, the host's systemd. What is written in its file system stays in the
// machine's memory; /usr/local is a folder of the host.
func becomeSystemd(job guestJob, folderOfHost string) error {
	if err := mountNewRoot(job.Modprobe); err != nil {
		return err
	}
	// Nothing that packages of the host have installed or set for its own systemd.
	hidden := strings.Fields("/etc/systemd /usr/lib/systemd/system-generators /usr/lib/tmpfiles.d /usr/lib/sysusers.d /usr/lib/modules-load.d /etc/tmpfiles.d /etc/sysusers.d /etc/modules-load.d")
	mounts := []guestMount{{"tmpfs", guestRun, "mode=0755"}, {"tmpfs", guestTemp, ""}, {"hostfs", guestShared, folderOfHost}, {"hostfs", "/usr/local", job.Local}}
	for _, folder := range hidden {
		mounts = append(mounts, guestMount{"tmpfs", folder, "mode=0755"})
	}
	for _, m := range mounts {
		if err := m.mount(newRoot); err != nil {
			return err
		}
	}
	if err := writeUnits(job.Binary); err != nil {
		return err
	}
	const modules = newRoot + "/usr/lib/modules"
	err := errors.Join(
		os.RemoveAll(newRoot+"/.dockerenv"), // it is no container in here
		os.MkdirAll(modules, 0o755),
		unix.Mount(umlModules+"/modules", modules, "", unix.MS_BIND, ""), // where modprobe looks without being told
		os.WriteFile(kernelModprobe, []byte(job.Modprobe), 0o644),
		unix.Mount(newRoot+guestUnits, newRoot+"/usr/lib/systemd/system", "", unix.MS_BIND, ""),
		unix.Mount("/dev", newRoot+"/dev", "", unix.MS_MOVE, ""),
	)
	if err == nil {
		err = errors.Join(os.Chdir(newRoot), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."))
	}
	if err != nil {
		return fmt.Errorf("making the root of systemd: %w", err)
	}
	err = unix.Exec(systemdProgram, []string{systemdProgram, "--unit=multi-user.target", "--log-target=console", "--show-status=0"}, []string{"TERM=dumb"})
	return fmt.Errorf("starting %s: %w", systemdProgram, err)
}

// mountNewRoot mounts an overlay of the host's file system.
func mountNewRoot(modprobe string) error {
	if err := loadModulesOnDemand(modprobe); err != nil { // overlay is one
		return err
	}
	upper, work := guestRun+"/upper", guestRun+"/work"
	for _, folder := range []string{upper, work, newRoot} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", folder, err)
		}
	}
	return guestMount{"overlay", "", fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)}.mount(newRoot)
}

// writeUnits makes the folder of units in the new root.
func writeUnits(binary string) error {
	units := newRoot + guestUnits
	errs := []error{os.MkdirAll(units, 0o755), os.Symlink(binary, newRoot+guestBinary)}
	for _, name := range bootUnits {
		text, err := os.ReadFile(filepath.Join("/lib/systemd/system", name))
		errs = append(errs, err, os.WriteFile(filepath.Join(units, name), text, 0o644))
	}
	for folder, names := range wantedUnits {
		errs = append(errs, os.Mkdir(filepath.Join(units, folder), 0o755))
		for _, name := range names {
			errs = append(errs, os.Symlink("../"+name, filepath.Join(units, folder, name)))
		}
	}
	errs = append(errs, os.WriteFile(filepath.Join(units, guestService), []byte(guestServiceUnit), 0o644))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("writing the units: %w", err)
	}
	return nil
}

// probeSystemd looks for systemd and for the programs that ask it; it need not run.
func probeSystemd() error {
	for _, name := range []string{systemdProgram, "systemctl", "systemd-analyze"} {
		if err := probeProgram(name, "systemd"); err != nil {
			return err
		}
	}
	return nil
}
