package bakery

// Roles are the links of the two directions: packets leave by Down towards the subscribers,
// by Up towards the internet. Both are the same on a stick, and "" where none is known.
type Roles struct{ Down, Up string }

// Link is the link of a direction.
func (r Roles) Link(upload bool) string {
	if upload {
		return r.Up
	}
	return r.Down
}

// Stick reports whether both directions share one link.
func (r Roles) Stick() bool { return r.Down == r.Up }

// Roles are the links that the configuration names.
func (s Setup) Roles() Roles { return Roles{Down: s.DownLink, Up: s.UpLink} }

// Roles are the links of the skeleton.
func (m MqSetup) Roles() Roles { return Roles{Down: m.Down.Link, Up: m.Up.Link} }
