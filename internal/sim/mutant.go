package sim

import "lqosd/bakery"

// mutant is a daemon with a mistake, made at one of its interfaces. The zero value has none.
type mutant struct {
	// acksEarly answers before the commit is written.
	acksEarly bool
	// forgetsFsync loses the last commit in a crash.
	forgetsFsync bool
	// ignoresErrors takes a commit that failed for one that didn't.
	ignoresErrors bool

	log       func(bakery.Log) bakery.Log
	sink      func(bakery.Sink) bakery.Sink
	kernel    func(*world, bakery.Kernel) bakery.Kernel
	dataplane func(*world, bakery.Dataplane) bakery.Dataplane
	options   func(*bakery.Options)

	previous string // image from before the last commit, of who forgets fsync
}

// change makes the mistakes of the daemon's options.
func (m *mutant) change(w *world, o *bakery.Options) {
	if open := o.OpenLog; m.log != nil {
		o.OpenLog = func() (bakery.Log, error) {
			log, err := open()
			if err != nil {
				return nil, err
			}
			return m.log(log), nil
		}
	}
	if m.sink != nil {
		o.Sink = m.sink(o.Sink)
	}
	if m.kernel != nil {
		o.Kernel = m.kernel(w, o.Kernel)
	}
	if m.dataplane != nil {
		o.Dataplane = m.dataplane(w, o.Dataplane)
	}
	if m.options != nil {
		m.options(o)
	}
}

// beforeCommit keeps what the disk has, for who forgets fsync.
func (m *mutant) beforeCommit(d *disk, l *life) {
	if !m.forgetsFsync {
		return
	}
	image := d.newImage()
	if copyLog(l.dir, image) == nil {
		m.previous = image
	}
}

// commitError is what becomes of a commit that fails.
func (m *mutant) commitError(err error) error {
	if m.ignoresErrors {
		return nil
	}
	return err
}

// afterCrash is what the disk has after a crash that left image.
func (m *mutant) afterCrash(image string) string {
	if m.forgetsFsync && m.previous != "" {
		image, m.previous = m.previous, ""
	}
	return image
}
