package main

import "testing"

// TestListed: a class that is missing, that has its old ceil, or that is there twice is noticed.
func TestListed(t *testing.T) {
	const (
		site = "class htb 1:3 parent 1:1 rate 100Mbit ceil 1Gbit burst 1600b cburst 1500b\n"
		slow = "class htb 1:4 parent 1:3 leaf 8001: prio 0 rate 1Mbit ceil 20Mbit burst 1600b cburst 1600b\n"
		fast = "class htb 1:5 parent 1:3 leaf 8002: prio 0 rate 1Mbit ceil 25Mbit burst 1600b cburst 1600b\n"
	)
	n := network{circuits: 3, queues: 1, faster: 1}
	for name, c := range map[string]struct {
		text string
		all  bool
	}{
		"all":           {site + slow + slow + fast, true},
		"one missing":   {site + slow + fast, false},
		"not changed":   {site + slow + slow + slow, false},
		"one too many":  {site + slow + slow + slow + fast, false},
		"nothing built": {"", false},
	} {
		if err := n.listed([]byte(c.text)); (err == nil) != c.all {
			t.Errorf("%s: %v", name, err)
		}
	}
}
