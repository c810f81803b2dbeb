package main

import (
	"os"
	"os/user"
	"strconv"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
)

// right is what a peer may do.
type right uint8

const (
	mayNothing right = iota
	mayRead
	mayCommand
	mayAdmin
)

// access knows who may speak on the bus: root and the daemon's own user everything; the
// socket's group all but what is for admins alone; the read group what changes nothing.
type access struct {
	uid             uint32
	command, read   uint32
	hasCmd, hasRead bool
}

func newAccess(commandGroup, readGroup string) access {
	a := access{uid: uint32(os.Geteuid())}
	a.command, a.hasCmd = lookupGroup(commandGroup)
	a.read, a.hasRead = lookupGroup(readGroup)
	return a
}

// lookupGroup gives a group's id; false where the host has no such group.
func lookupGroup(name string) (uint32, bool) {
	if name == "" {
		return 0, false
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(id), err == nil
}

func (a access) of(p bus.Peer) right {
	switch {
	case p.UID == 0, p.UID == a.uid:
		return mayAdmin
	case a.hasCmd && p.In(a.command):
		return mayCommand
	case a.hasRead && p.In(a.read):
		return mayRead
	}
	return mayNothing
}

// opaque tells whether lines of one with this right may be kept as opaque.
func (r right) opaque(setting string) bool {
	switch setting {
	case lqosconf.OpaqueAdmin:
		return r >= mayAdmin
	case lqosconf.OpaqueCommand:
		return r >= mayCommand
	}
	return false
}
