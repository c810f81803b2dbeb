package main

import (
	"fmt"
	"slices"
)

// treeScript is a tree of one link for tc -batch: an mq, an htb for each queue, classes spread over them in turn, and a pfifo in each.
type treeScript struct {
	link            string
	classes, queues int
	depth           int // so many classes one below the other, a pfifo in the last of them; 0 is 1
	order           order
	handles         handles
	bare            bool // no pfifos but those that an htb makes for each of its classes
	clear           bool // no htb in the bucket of handle 0, which those pfifos have
}

// order is in which order the lines come.
type order int

const (
	inTurn        order = iota // an htb, its classes, their leaves, the next htb: as bakery-replay render --form state writes it
	pairwise                   // an htb, a class, its leaf, the next class
	leavesLast                 // all htbs with their classes, and then the leaves
	htbsFirst                  // all htbs, and then as inTurn
	roundRobin                 // all htbs, and then a class of each with its leaf, in turn
	classesByTurn              // all htbs, a class of each in turn, and then the leaves
)

// handles is which handles the leaves get.
type handles int

const (
	ascending handles = iota // one after the other
	apart                    // of the buckets of a link's qdisc_hash in which no htb is
	together                 // of one bucket, in which no htb is
	kernels                  // the kernel chooses
)

// bucket is the place of a qdisc in the qdisc_hash of its link: hash_min of its handle in 16 buckets (qdisc_hash_add in sch_api.c).
func bucket(major uint16) int { return int(uint32(major) << 16 * 0x61C88647 >> 28) }

// lines are the lines that make the tree.
func (t treeScript) lines() []string {
	next := t.leafHandles()
	htbs, classes, leaves := make([][]string, t.queues), make([][]string, t.queues), make([][]string, t.queues)
	majors := t.majors()
	for q, major := range majors {
		htbs[q] = t.htb(q+1, major)
	}
	for i := range t.classes {
		q, minor, depth := i%t.queues, 3+i/t.queues, max(1, t.depth)
		major := majors[q]
		parent := 1
		if (minor-3)%depth > 0 {
			parent = minor - 1
		}
		classes[q] = append(classes[q], fmt.Sprintf("class add dev %s parent %x:%x classid %x:%x htb rate 5mbit ceil 10mbit quantum 1514", t.link, major, parent, major, minor))
		leaf := ""
		if last := (minor-3)%depth == depth-1; last && !t.bare {
			leaf = fmt.Sprintf("qdisc add dev %s parent %x:%x %spfifo limit 100", t.link, major, minor, next())
		}
		leaves[q] = append(leaves[q], leaf)
	}
	list := []string{fmt.Sprintf("qdisc replace dev %s root handle 7fff: mq", t.link)}
	if t.order == inTurn || t.order == pairwise || t.order == leavesLast {
		for q := range htbs { // each just before its classes
			classes[q] = append(htbs[q], classes[q]...)
			leaves[q] = append(make([]string, len(htbs[q])), leaves[q]...)
		}
	} else {
		list = append(list, slices.Concat(htbs...)...)
	}
	switch t.order {
	case inTurn, htbsFirst:
		for q := range classes {
			list = append(append(list, classes[q]...), leaves[q]...)
		}
	case pairwise:
		list = append(list, alternate(slices.Concat(classes...), slices.Concat(leaves...))...)
	case leavesLast:
		list = append(append(list, slices.Concat(classes...)...), slices.Concat(leaves...)...)
	case roundRobin:
		list = append(list, alternate(alternate(classes...), alternate(leaves...))...)
	case classesByTurn:
		list = append(append(list, alternate(classes...)...), alternate(leaves...)...)
	}
	return slices.DeleteFunc(list, func(line string) bool { return line == "" })
}

// majors are those of the htbs, one for each queue.
func (t treeScript) majors() (list []int) {
	for major := 1; len(list) < t.queues; major++ {
		if !t.clear || bucket(uint16(major)) != bucket(0) {
			list = append(list, major)
		}
	}
	return list
}

// htb is that of a queue, its capacity and its default class.
func (t treeScript) htb(queue, major int) []string {
	return []string{
		fmt.Sprintf("qdisc add dev %s parent 7fff:%x handle %x: htb default 2", t.link, queue, major),
		fmt.Sprintf("class add dev %s parent %x: classid %x:1 htb rate 10gbit ceil 10gbit quantum 1514", t.link, major, major),
		fmt.Sprintf("class add dev %s parent %x:1 classid %x:2 htb rate 10gbit ceil 10gbit quantum 1514", t.link, major, major),
	}
}

// leafHandles hands out what a line says of its leaf's handle.
func (t treeScript) leafHandles() func() string {
	if t.handles == kernels {
		return func() string { return "" }
	}
	taken := map[int]bool{}
	majors := t.majors()
	for _, major := range majors {
		taken[bucket(uint16(major))] = true
	}
	only := 0
	for taken[only] {
		only++
	}
	fits := func(major uint16) bool {
		b := bucket(major)
		return t.handles == ascending || t.handles == apart && !taken[b] || t.handles == together && b == only
	}
	major := uint16(majors[len(majors)-1])
	return func() string {
		for major++; major == 0x7fff || !fits(major); major++ {
		}
		return fmt.Sprintf("handle %x: ", major)
	}
}

// alternate takes one line of each list in turn.
func alternate(lists ...[]string) (all []string) {
	longest := 0
	for _, l := range lists {
		longest = max(longest, len(l))
	}
	for i := range longest {
		for _, l := range lists {
			if i < len(l) {
				all = append(all, l[i])
			}
		}
	}
	return all
}

// removal are the lines that delete each class with its leaf, the newest or the oldest first.
func (t treeScript) removal(newestFirst bool) (list []string) {
	majors := t.majors()
	for i := range t.classes {
		list = append(list, fmt.Sprintf("class del dev %s classid %x:%x", t.link, majors[i%t.queues], 3+i/t.queues))
	}
	if newestFirst {
		slices.Reverse(list)
	}
	return list
}
