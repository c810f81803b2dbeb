package xdp

import (
	"fmt"
)

// Layout says where the programs go: to the link of the internet and that of the
// subscribers. On a stick both are one, and VLANs tell the directions.
type Layout struct {
	Internet     string `json:"internet"`
	Network      string `json:"network"`
	InternetVLAN uint16 `json:"internet_vlan,omitempty"` // of a stick; 0 elsewhere
	NetworkVLAN  uint16 `json:"network_vlan,omitempty"`
}

// Stick reports whether one link has both sides.
func (l Layout) Stick() bool { return l.Internet == l.Network }

// Role is what a link of a Layout is for.
type Role string

// The roles. Each has two programs for ingress and one for egress.
const (
	Internet Role = "internet"
	Network  Role = "network"
	Stick    Role = "stick"
)

// enter is the name of the program for ingress that may hand packets to other CPUs.
func (r Role) enter() string { return "enter_" + string(r) }

// stay is the name of the one that doesn't.
func (r Role) stay() string { return "stay_" + string(r) }

// leave is the name of the program for egress.
func (r Role) leave() string { return "leave_" + string(r) }

// place is a link with its role.
type place struct {
	link string
	role Role
}

// places are the links of l.
func (l Layout) places() []place {
	if l.Stick() {
		return []place{{l.Internet, Stick}}
	}
	return []place{{l.Internet, Internet}, {l.Network, Network}}
}

// check says what is wrong with l.
func (l Layout) check() error {
	switch {
	case l.Internet == "" || l.Network == "":
		return fmt.Errorf("a layout without a link: %+v", l)
	case l.Stick() && (l.InternetVLAN == 0 || l.NetworkVLAN == 0 || l.InternetVLAN == l.NetworkVLAN):
		return fmt.Errorf("link %s is on a stick and needs two VLANs, not %d and %d", l.Internet, l.InternetVLAN, l.NetworkVLAN)
	}
	return nil
}

// Mode is how XDP is attached.
type Mode string

// The modes.
const (
	Auto    Mode = ""        // native, and generic where the driver can't
	Native  Mode = "native"  // in the driver
	Generic Mode = "generic" // after it, for any link
)

// Redirect says whether XDP hands packets to the CPUs of their classes. In generic mode it never does.
type Redirect string

// The values of Redirect.
const (
	RedirectAuto   Redirect = ""       // on links where nothing of a packet is kept beside it
	RedirectAlways Redirect = "always" // on all links: right only where hosts keep nothing beside packets
	RedirectNever  Redirect = "never"
)
