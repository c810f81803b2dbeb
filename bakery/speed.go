package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// ChangeSiteSpeedLive changes the rates of a site that is there, in both directions. It holds
// until a batch, or a command for its class, says something else.
type ChangeSiteSpeedLive struct {
	SiteHash int64 `json:"site_hash"`
	Bandwidths

	// Classes are those of the site, and R2Q divides their ceils into their quanta: filled in
	// when the command is resolved.
	Classes []SiteClass `json:"classes,omitempty"`
	R2Q     uint64      `json:"r2q,omitempty"`
}

// SiteClass is a class of a site.
type SiteClass struct {
	Link   string    `json:"link"`
	Parent tc.Handle `json:"parent"`
	ID     tc.Handle `json:"class"`
	Upload bool      `json:"upload"`
}

// Kind implements Command.
func (ChangeSiteSpeedLive) Kind() Kind { return KindChangeSiteSpeedLive }

// resolveSpeed finds the classes of the site.
func (t *Tree) resolveSpeed(c ChangeSiteSpeedLive, s Setup) (ChangeSiteSpeedLive, error) {
	if err := c.check(); err != nil {
		return c, err
	}
	roles := s.Roles()
	c.R2Q = tc.StartR2Q(max(s.DownMbps, s.UpMbps))
	if m := t.Setup; m != nil {
		roles, c.R2Q = m.Roles(), m.R2Q
	}
	firstUp := t.firstUpload(roles)
	c.Classes = nil
	for at, n := range t.Notes {
		if n.Role != RoleSite || n.Hash != c.SiteHash {
			continue
		}
		class, ok := t.state.Class(at.Link, at.ID)
		if !ok {
			continue
		}
		upload := at.Link == roles.Up
		if roles.Stick() {
			upload = at.ID.Major() >= firstUp
		}
		c.Classes = append(c.Classes, SiteClass{Link: at.Link, Parent: class.Parent, ID: at.ID, Upload: upload})
	}
	if len(c.Classes) == 0 {
		return c, fmt.Errorf("there is no site %d", c.SiteHash)
	}
	return c, nil
}

// firstUpload is the major of the first upload queue. Clients of the first generation clear
// what MqSetup said, and build the queues of a stick by tc lines: the second half is the
// upload's.
func (t *Tree) firstUpload(roles Roles) uint16 {
	if t.Setup != nil {
		return t.Setup.Up.FirstMajor
	}
	var queues uint16
	for q := range t.state.Qdiscs(roles.Up) {
		if q.Parent.Major() == rootMajor {
			queues++
		}
	}
	return queues/2 + 1
}

func (t *Tree) foldSpeed(c ChangeSiteSpeedLive, seq eventlog.Seq) error {
	b := t.Clone()
	for _, s := range c.Classes {
		class, ok := b.state.Class(s.Link, s.ID)
		if !ok {
			return fmt.Errorf("link %s has no class %s", s.Link, s.ID)
		}
		rate, ceil := c.mbps(s.Upload)
		var err error
		if class.HTB.Rate, err = programmedRate(rate); err != nil {
			return err
		}
		if class.HTB.Ceil, err = programmedRate(ceil); err != nil {
			return err
		}
		if class.HTB.Quantum, err = programmedQuantum(ceil, c.R2Q); err != nil {
			return err
		}
		if err := b.state.Apply(tc.Op{Verb: tc.Change, Class: &class}); err != nil {
			return err
		}
		n, _ := b.Note(s.Link, s.ID)
		n.Seq, n.AskedMbps = seq, askedMbps(rate, ceil)
		b.setNote(s.Link, s.ID, n)
	}
	*t = *b
	return nil
}
