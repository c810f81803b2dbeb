package main

import (
	"os"
	"os/user"
	"slices"
	"strconv"

	"lqosd/bus"
)

// right is what a peer may do.
type right uint8

const (
	mayNothing right = iota
	mayRead
	mayCommand
)

// access knows who may speak on the bus: root, the daemon's own user and the
// socket's group everything; the read group what changes nothing.
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
	in := func(gid uint32) bool { return p.GID == gid || slices.Contains(p.Groups, gid) }
	switch {
	case p.UID == 0, p.UID == a.uid, a.hasCmd && in(a.command):
		return mayCommand
	case a.hasRead && in(a.read):
		return mayRead
	}
	return mayNothing
}
