package lqosconf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// key is one key of the file that lqosd uses: its name, its form, and how its value gets into a [Config].
type key struct {
	name     string
	kind     string // as docs/config.md names it: text, number, whole number, true or false
	required bool
	unit     string
	allowed  string
	set      func(c *Config, v any) bool // false: v is of another type, or not allowed
}

// tables are the tables that lqosd reads.
var tables = []string{"bridge", "single_interface", "queues", "bakery"}

// maxMbps bounds a capacity: 10 Tbit/s. It catches a value given in bit/s.
const maxMbps = 10_000_000

// maxQueues is the kernel's bound on a link's tx queues: rtnl_create_link in net/core/rtnetlink.c.
const maxQueues = 4096

// maxSocketPath is what fits sun_path of unix(7), with its final zero byte.
const maxSocketPath = 107

const (
	aPath     = "the path of a directory, without control characters"
	aLink     = `a link name of 1 to 15 bytes without "/", ":" and white space`
	aVLAN     = "a VLAN id from 1 to 4094"
	aCapacity = "a number above 0, at most 10000000"
	aLeaf     = `a leaf qdisc in tc(8) words, for example "cake diffserv4"`
	aGroup    = `the name of a group, without ":", "/" and white space`
	aBoolean  = "true or false"
)

// keys are all keys that lqosd uses, in the order of the file.
var keys = []key{
	text("lqos_directory", aPath, isPath, func(c *Config) *string { return &c.LqosDirectory }).must(),

	text("bridge.to_internet", aLink, isLink, func(c *Config) *string { return &c.bridge().ToInternet }).must(),
	text("bridge.to_network", aLink, isLink, func(c *Config) *string { return &c.bridge().ToNetwork }).must(),
	boolean("bridge.use_xdp_bridge", func(c *Config) *bool { return &c.bridge().UseXDPBridge }),

	text("single_interface.interface", aLink, isLink, func(c *Config) *string { return &c.single().Interface }).must(),
	whole("single_interface.internet_vlan", aVLAN, 1, 4094, func(c *Config) *int { return &c.single().InternetVLAN }).must(),
	whole("single_interface.network_vlan", aVLAN, 1, 4094, func(c *Config) *int { return &c.single().NetworkVLAN }).must(),

	text("queues.default_sqm", aLeaf, isWords,
		func(c *Config) *string { return &c.Queues.DefaultSQM }).must(),
	mbps("queues.uplink_bandwidth_mbps", func(c *Config) *float64 { return &c.Queues.UplinkMbps }).must(),
	mbps("queues.downlink_bandwidth_mbps", func(c *Config) *float64 { return &c.Queues.DownlinkMbps }).must(),
	whole("queues.override_available_queues", "a whole number from 1 to 4096; leave the key out to count the queues", 1, maxQueues,
		func(c *Config) *int {
			c.Queues.OverrideAvailableQueues = new(int)
			return c.Queues.OverrideAvailableQueues
		}),
	mbps("queues.fast_queues_fq_codel",
		func(c *Config) *float64 { c.Queues.FastQueuesFqCodel = new(float64); return c.Queues.FastQueuesFqCodel }),
	choice("queues.lazy_queues", func(c *Config) *string { return &c.Queues.LazyQueues }, LazyNo, LazyHtb, LazyFull),
	natural("queues.lazy_expire_seconds", "seconds", "never", func(c *Config) *int { return &c.Queues.LazyExpireSeconds }),
	natural("queues.lazy_threshold_bytes", "bytes", "no threshold", func(c *Config) *int { return &c.Queues.LazyThresholdBytes }),

	choice("bakery.mode", func(c *Config) *string { return &c.Bakery.Mode }, ModeApply, ModeFile),
	text("bakery.state_directory", aPath, isPath, func(c *Config) *string { return &c.Bakery.StateDirectory }),
	text("bakery.socket", "a path of at most 107 bytes, without control characters", isSocket, func(c *Config) *string { return &c.Bakery.Socket }),
	text("bakery.socket_group", aGroup, isName, func(c *Config) *string { return &c.Bakery.SocketGroup }),
	text("bakery.read_group", aGroup+`; "" for none`, isNameOrNone, func(c *Config) *string { return &c.Bakery.ReadGroup }),
	natural("bakery.settle_ms", "ms", "don't wait", func(c *Config) *int { return &c.Bakery.SettleMS }),
	natural("bakery.settle_max_ms", "ms", "don't wait", func(c *Config) *int { return &c.Bakery.SettleMaxMS }),
	natural("bakery.retain_generations", "", "any number", func(c *Config) *int { return &c.Bakery.RetainGenerations }),
	natural("bakery.retain_days", "days", "for ever", func(c *Config) *int { return &c.Bakery.RetainDays }),
	choice("bakery.drift", func(c *Config) *string { return &c.Bakery.Drift }, DriftRepair, DriftReport),
	choice("bakery.opaque_lines", func(c *Config) *string { return &c.Bakery.OpaqueLines }, OpaqueAdmin, OpaqueCommand, OpaqueRefuse),
	choice("bakery.slow_plan_rtt", func(c *Config) *string { return &c.Bakery.SlowPlanRTT }, SlowPlanExact, SlowPlanUpTo),
	choice("bakery.dataplane", func(c *Config) *string { return &c.Bakery.Dataplane }, DataplaneAuto, DataplaneNative, DataplaneGeneric, DataplaneOff),
	choice("bakery.cpu_redirect", func(c *Config) *string { return &c.Bakery.CPURedirect }, RedirectAuto, RedirectAlways, RedirectNever),
	text("bakery.bpf_fs", aPath+`; "" for the usual one`, isPathOrNone, func(c *Config) *string { return &c.Bakery.BPFFS }),
}

// optional is a Config with the values that keys have when they are not in the file.
func optional() Config {
	return Config{
		Queues: Queues{LazyQueues: LazyNo, LazyExpireSeconds: 600},
		Bakery: Bakery{
			Mode: ModeApply, StateDirectory: "/var/lib/lqosd", Socket: "/run/lqos/bus", SocketGroup: "lqos",
			SettleMS: 1_000, SettleMaxMS: 10_000, RetainDays: 30, Drift: DriftRepair, OpaqueLines: OpaqueAdmin, SlowPlanRTT: SlowPlanExact, Dataplane: DataplaneAuto, CPURedirect: RedirectAuto,
		},
	}
}

func isKey(name string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return k.name == name })
}

// must makes a key one that can't be left out of its table.
func (k key) must() key {
	k.required = true
	return k
}

// text is a key for a string.
func text(name, allowed string, ok func(string) bool, field func(*Config) *string) key {
	return key{name: name, kind: "text", allowed: allowed, set: func(c *Config, v any) bool {
		s, is := v.(string)
		if !is || !ok(s) {
			return false
		}
		*field(c) = s
		return true
	}}
}

// choice is a key for one of a few words.
func choice(name string, field func(*Config) *string, words ...string) key {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	isOne := func(s string) bool { return slices.Contains(words, s) }
	return text(name, strings.Join(quoted, " or "), isOne, field)
}

// whole is a key for an integer from low to high.
func whole(name, allowed string, low, high int64, field func(*Config) *int) key {
	return key{name: name, kind: "whole number", allowed: allowed, set: func(c *Config, v any) bool {
		n, is := v.(int64)
		if !is || n < low || n > high {
			return false
		}
		*field(c) = int(n)
		return true
	}}
}

// natural is a key for an integer from 0, where 0 has a meaning of its own.
func natural(name, unit, zero string, field func(*Config) *int) key {
	k := whole(name, fmt.Sprintf("a whole number from 0 (%s) to %d", zero, math.MaxInt32), 0, math.MaxInt32, field)
	k.unit = unit
	return k
}

// mbps is a key for a capacity in Mbit/s, written with or without a fraction.
func mbps(name string, field func(*Config) *float64) key {
	return key{name: name, kind: "number", unit: "Mbit/s", allowed: aCapacity, set: func(c *Config, v any) bool {
		var n float64
		switch v := v.(type) {
		case int64:
			n = float64(v)
		case float64:
			n = v
		}
		if !(n > 0 && n <= maxMbps) { // in this form NaN fails, too
			return false
		}
		*field(c) = n
		return true
	}}
}

// boolean is a key for true or false.
func boolean(name string, field func(*Config) *bool) key {
	return key{name: name, kind: "true or false", allowed: aBoolean, set: func(c *Config, v any) bool {
		b, is := v.(bool)
		if is {
			*field(c) = b
		}
		return is
	}}
}

// bridge makes the table on its first key.
func (c *Config) bridge() *Bridge {
	if c.Bridge == nil {
		c.Bridge = &Bridge{}
	}
	return c.Bridge
}

// single makes the table on its first key.
func (c *Config) single() *SingleInterface {
	if c.SingleInterface == nil {
		c.SingleInterface = &SingleInterface{}
	}
	return c.SingleInterface
}

// isLink is the kernel's rule for the name of a link, dev_valid_name in net/core/dev.c, and no control characters.
func isLink(s string) bool {
	return s != "" && len(s) <= 15 && s != "." && s != ".." && isPrintable(s) &&
		!strings.ContainsAny(s, "/:") && !strings.ContainsFunc(s, unicode.IsSpace)
}

func isPath(s string) bool       { return s != "" && isPrintable(s) }
func isPathOrNone(s string) bool { return s == "" || isPath(s) }
func isSocket(s string) bool     { return isPath(s) && len(s) <= maxSocketPath }
func isWords(s string) bool      { return strings.TrimSpace(s) != "" && isPrintable(s) }
func isNameOrNone(s string) bool { return s == "" || isName(s) }

func isName(s string) bool {
	return s != "" && isPrintable(s) && !strings.ContainsAny(s, ":/") && !strings.ContainsFunc(s, unicode.IsSpace)
}

// isPrintable refuses what would break a line of a log or of a tc script.
func isPrintable(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }
