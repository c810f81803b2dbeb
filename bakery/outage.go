package bakery

import (
	"errors"
	"log/slog"
	"time"

	"lqosd/eventlog"
)

// outage is the time in which the event log takes nothing: from a failed commit to the next that succeeds. It keeps what the daemon
// logs short: a full disk fails every command, for hours perhaps. The first failure is said, another one if its reason is
// another, and the end with what it has cost.
type outage struct {
	log      *slog.Logger
	since    time.Time
	reason   error // the last one that was said; nil: there is no outage
	failures int   // failed commits
	refused  int   // commands that were not acknowledged
}

// failed counts a failed commit.
func (o *outage) failed(err error, now time.Time) {
	if o.failures++; o.failures == 1 {
		o.since = now
	} else if root(err).Error() == root(o.reason).Error() {
		o.log.Debug("the event log failed again", "err", err)
		return
	}
	o.reason = err
	o.log.Error("the event log failed; it is said once, and again when it takes records", "err", err)
}

// root is the innermost error: what the system said, without the file and the offset, which are others each time.
func root(err error) error {
	for {
		inner := error(nil)
		switch outer := err.(type) { //nolint:errorlint // it is the chain that is walked
		case interface{ Unwrap() error }:
			inner = outer.Unwrap()
		case interface{ Unwrap() []error }:
			if all := outer.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// reopened says that the log is open again, which doesn't mean that it takes anything.
func (o *outage) reopened(last eventlog.Seq) {
	say := o.log.Info
	if o.failures > 1 {
		say = o.log.Debug
	}
	say("the event log was opened again", "last_seq", last)
}

// answered counts what a ticket was refused.
func (o *outage) answered(outcomes []Outcome) {
	if o.reason == nil {
		return
	}
	for _, out := range outcomes {
		if errors.Is(out.Err, ErrLogUnavailable) || errors.Is(out.Err, eventlog.ErrUnknownOutcome) {
			o.refused++
		}
	}
}

// over says that a commit succeeded.
func (o *outage) over(now time.Time) {
	if o.reason == nil {
		return
	}
	o.log.Info("the event log takes records again", "after", now.Sub(o.since), "failures", o.failures, "commands_refused", o.refused)
	*o = outage{log: o.log}
}
