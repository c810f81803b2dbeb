package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/internal/golden"
)

// life is what a client knows of one daemon: what it sent, in order, and how much of that was acknowledged.
type life struct {
	sent  []string // as identity gives them
	acked int
}

// check compares what a log holds of a life with what the client knows: a prefix of what was sent, that holds all that
// was acknowledged.
func (l life) check(inLog []string) error {
	if len(inLog) < l.acked {
		return fmt.Errorf("%d requests were acknowledged, %d are in the log", l.acked, len(inLog))
	}
	if len(inLog) > len(l.sent) {
		return fmt.Errorf("%d requests were sent, %d are in the log", len(l.sent), len(inLog))
	}
	for i, r := range inLog {
		if r != l.sent[i] {
			return fmt.Errorf("record %d of this life is %s, sent was %s", i+1, r, l.sent[i])
		}
	}
	return nil
}

// identity tells commands from each other, without what the daemon resolves.
func identity(c bakery.Command) string {
	switch c := c.(type) {
	case bakery.MqSetup:
		return fmt.Sprint("MqSetup ", c.QueuesAvailable, c.StickOffset)
	case bakery.ClearPriorSettings:
		return "ClearPriorSettings"
	case bakery.Commit:
		return commitIdentity(c)
	}
	body, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return c.Kind().String() + string(body)
}

func identities(t testing.TB, requests []golden.Request) []string {
	t.Helper()
	ids := make([]string, len(requests))
	for i, r := range requests {
		c, err := bakery.DecodeCommand(r.Name, r.Args != nil, func(v any) error { return json.Unmarshal(r.Args, v) })
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = identity(c)
	}
	return ids
}

// TestLifeCheck holds faulty logs against what a client knows.
func TestLifeCheck(t *testing.T) {
	l := life{sent: []string{"a", "b", "c", "d"}, acked: 2}
	for _, tc := range []struct {
		name, log string
		good      bool
	}{
		{"just the acknowledged", "a b", true},
		{"some more", "a b c", true},
		{"all", "a b c d", true},
		{"nothing", "", false},
		{"one is missing at the end", "a", false},
		{"one is missing at the beginning", "b c", false},
		{"one is missing within", "a c", false},
		{"in another order", "b a", false},
		{"twice", "a a b", false},
		{"twice at the end", "a b c d d", false},
		{"one that was never sent", "a b x", false},
	} {
		if err := l.check(strings.Fields(tc.log)); (err == nil) != tc.good {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
