package main

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// User, Group and StateDirectory of packaging/lqosd.service.
const (
	unitUser  = "lqosd"
	unitGroup = "lqos"
	unitState = "/var/lib/lqosd"
)

// account is a user of this host, with the groups that a unit's process of him has.
type account struct {
	name     string
	uid, gid uint32
	groups   []uint32
}

// unitAccount is the user of the unit; false where the host has none.
func unitAccount() (account, bool) {
	u, err := user.Lookup(unitUser)
	if err != nil {
		return account{}, false
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, false
	}
	a := account{name: unitUser, uid: uint32(uid)}
	gid, ok := lookupGroup(unitGroup)
	if !ok {
		return account{}, false
	}
	a.gid = gid
	ids, _ := u.GroupIds()
	for _, text := range ids {
		if id, err := strconv.ParseUint(text, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(id))
		}
	}
	return a, true
}

// try runs fn with the ids of the account, and without capabilities: the kernel itself says what it may. Only root can.
func (a account) try(fn func()) error {
	if int64(a.uid) == int64(os.Geteuid()) {
		fn()
		return nil
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread, which isn't like the others any more, ends with the goroutine
		err := a.become()
		if err == nil {
			fn()
		}
		done <- err
	}()
	return <-done
}

// become gives this thread the ids of the account. The functions of package syscall would give them to all threads.
func (a account) become() error {
	groups := append([]uint32{a.gid}, a.groups...)
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0)
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_SETRESGID, uintptr(a.gid), uintptr(a.gid), uintptr(a.gid))
	}
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(a.uid), uintptr(a.uid), uintptr(a.uid))
	}
	if errno != 0 {
		return fmt.Errorf("becoming user %s: %w", a.name, errno)
	}
	return nil
}
