package kernel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// Observe reads what is on the links, in the form of tc.Canonical. One that isn't there is
// missing from the map. If anybody changes a link meanwhile it starts again, a few times; then
// it is an error. What is the same as in what is known of a link shares its memory.
func (k *Kernel) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	for try := 1; ; try++ {
		observed, err := k.observe(ctx, links, known)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("observing: %w", ctx.Err())
		case err == nil:
			return observed, nil
		case try >= k.limits.tries || !passing(err):
			return nil, fmt.Errorf("observing, %d times: %w", try, err)
		}
		select {
		case <-time.After(k.limits.pause):
		case <-ctx.Done():
		}
	}
}

// observe tries once.
func (k *Kernel) observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	conn, err := dial(k.limits.buffer, 0) // of its own: a dump that was left would block the next
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop, err := endWith(ctx, conn, k.limits.dump)
	if err != nil {
		return nil, err
	}
	defer stop()
	others, err := dial(k.limits.buffer, 1<<(unix.RTNLGRP_TC-1))
	if err != nil {
		return nil, err
	}
	defer func() { _ = others.Close() }()

	o := observer{kernel: k, mail: newMailbox(conn), found: map[string]tc.Observed{}, names: map[int]string{}, states: map[string]*tc.Builder{}}
	if err := o.findLinks(links, known); err != nil {
		return nil, err
	}
	if err := o.readLinks(); err != nil {
		return nil, err
	}
	torn, err := touched(newMailbox(others), o.names)
	if torn && err == nil {
		err = errTorn
	}
	return o.found, err
}

// observer is one try to observe.
type observer struct {
	kernel *Kernel
	mail   mailbox
	found  map[string]tc.Observed
	names  map[int]string // of the links in found, by index
	states map[string]*tc.Builder
}

func (o *observer) findLinks(links []string, known map[string]*tc.State) error {
	for _, name := range links {
		l, err := o.kernel.find(name)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		o.names[l.Index] = name
		o.states[name] = tc.NewBuilder(name, known[name])
		o.found[name] = tc.Observed{
			Index: l.Index, TxQueues: l.NumTxQueues,
			LinkInfo: tc.LinkInfo{MTU: uint32(l.MTU), TxQueueLen: uint32(l.TxQLen)},
		}
	}
	return nil
}

func (o *observer) readLinks() error {
	if len(o.found) == 0 {
		return nil
	}
	if err := dump(o.mail, unix.RTM_GETQDISC, header{}, o.addQdisc); err != nil {
		return err
	}
	for index, name := range o.names {
		if err := o.readClasses(index, name); err != nil {
			return err
		}
		l := o.found[name]
		var err error
		if l.State, err = o.states[name].State(); err != nil {
			return errors.Join(err, errTorn) // as far as we know: the next try will tell
		}
		o.found[name] = l
	}
	return nil
}

// readClasses asks each htb of a link by itself: asked for a link, the kernel also goes
// through the flows of every cake and fq_codel on it, which are classes to it.
func (o *observer) readClasses(index int, name string) error {
	state := o.states[name]
	for _, htb := range state.HTBs() {
		err := dump(o.mail, unix.RTM_GETTCLASS, header{index: index, parent: htb}, func(c object) error {
			if c.kind != "htb" {
				return nil
			}
			class, err := c.class(name, o.kernel.host)
			state.Class(class)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addQdisc keeps a qdisc that somebody made on one of the links.
func (o *observer) addQdisc(q object) error {
	name, wanted := o.names[q.index]
	if !wanted || q.handle == 0 {
		return nil
	}
	qdisc, err := q.qdisc(name, o.kernel.host)
	if err == nil {
		o.states[name].Qdisc(qdisc)
	}
	return err
}
