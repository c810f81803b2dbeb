// Package skeleton says what a configuration and a host mean for the skeleton of a tree: links, capacities, queues, leaves.
package skeleton

import (
	"lqosd/bakery"
	"lqosd/internal/host"
	"lqosd/internal/lqosconf"
)

// defaultFastMbps is what clients take where fast_queues_fq_codel isn't set, in Mbit/s.
const defaultFastMbps = 1000

// DefaultLeaf is the rule of a configuration that says nothing about leaves.
func DefaultLeaf() bakery.LeafRule { return bakery.LeafRule{FastMbps: defaultFastMbps} }

// Of is what the configuration and the host say about the skeleton, and why there are as many queues.
func Of(c lqosconf.Config, facts host.Host) (bakery.Setup, string) {
	s := bakery.Setup{SQM: []string{c.Queues.DefaultSQM}, DownMbps: c.Queues.DownlinkMbps, UpMbps: c.Queues.UplinkMbps, Leaf: DefaultLeaf()}
	if c.SingleInterface != nil {
		s.DownLink, s.UpLink = c.SingleInterface.Interface, c.SingleInterface.Interface
	} else {
		s.DownLink, s.UpLink = c.Bridge.ToNetwork, c.Bridge.ToInternet
	}
	if fast := c.Queues.FastQueuesFqCodel; fast != nil {
		s.Leaf.FastMbps = *fast
	}
	if c.Bakery.SlowPlanRTT == lqosconf.SlowPlanUpTo {
		s.Leaf.SlowRTT = bakery.SlowRTTUpTo
	}
	var why string
	links := s.Links()
	s.Queues, why = facts.Queues(host.QueueRule{Override: c.Queues.OverrideAvailableQueues,
		ToNetwork: links[0], ToInternet: links[len(links)-1]})
	return s, why
}
