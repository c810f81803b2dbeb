package main

import (
	"fmt"
	"testing"

	"lqosd/bus"
	"lqosd/internal/golden"
)

// script is what clients send, without an end: transactions from 0 on.
type script struct {
	keyed bool // a transaction has a key, and is sent again when its answer got lost
	tx    func(k int) transaction
}

// transaction is what the log gets whole or not at all.
type transaction struct {
	sessions [][]bus.Call // of which the last alone leaves records
	key      string
	ids      []string // of its records, as identity gives them
}

// send sends it, and gives the answer of its last session.
func (x transaction) send(c *bus.Client) *bus.Future {
	last := len(x.sessions) - 1
	for _, s := range x.sessions[:last] {
		c.Go(s...)
	}
	return c.GoWithKey(x.key, x.sessions[last]...)
}

// ids are those of the transactions from one to another, the last excluded.
func (s script) ids(from, to int) (ids []string) {
	for k := from; k < to; k++ {
		ids = append(ids, s.tx(k).ids...)
	}
	return ids
}

// sessionsOf is a network that is sent again and again, size requests a session.
func sessionsOf(t testing.TB, requests []golden.Request, size int, keyed bool) script {
	all, ids := calls(requests), identities(t, requests)
	for len(all) < len(requests)+size { // a session goes over the end
		all, ids = append(all, all[:len(requests)]...), append(ids, ids[:len(requests)]...)
	}
	return script{keyed, func(k int) transaction {
		at := k * size % len(requests)
		x := transaction{sessions: [][]bus.Call{all[at : at+size]}, ids: ids[at : at+size]}
		if keyed {
			x.key = fmt.Sprint("transaction ", k)
		}
		return x
	}}
}

// commitsOf are networks that are sent one after the other, each as a batch.
func commitsOf(networks []network) script {
	const size = 10 // requests of a session
	list := make([]transaction, len(networks))
	for i, n := range networks {
		list[i].ids = []string{n.id}
		for all := n.calls; len(all) > 0; {
			now := min(size, len(all))
			list[i].sessions, all = append(list[i].sessions, all[:now]), all[now:]
		}
	}
	return script{tx: func(k int) transaction { return list[k%len(list)] }}
}
