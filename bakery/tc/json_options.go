package tc

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// jsonOptions reads the options object of a qdisc. Rates are bytes per second,
// times microseconds.
func jsonOptions(kind string, raw json.RawMessage) (Options, error) {
	switch kind {
	case "mq":
		return MQ{}, nil
	case "clsact":
		return Clsact{}, nil
	case "ingress":
		return IngressQdisc{}, nil
	}
	into := map[string]interface{ options() (Options, error) }{
		"htb": &jsonHTB{}, "cake": &jsonCake{}, "fq_codel": &jsonFqCodel{}, "codel": &jsonCodel{},
		"fq": &jsonFq{}, "tbf": &jsonTbf{}, "pfifo": &jsonPfifo{}, "bfifo": &jsonBfifo{}, "sfq": &jsonSfq{},
	}[kind]
	if into == nil {
		return nil, fmt.Errorf("qdisc kind %q: %w", kind, ErrUnknown)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, err
		}
	}
	return into.options()
}

// jsonNumber is a number that tc(8) prints as a number, as hex in quotes
// ("0x2"), or as a size ("10Kb/1").
type jsonNumber uint64

func (n *jsonNumber) UnmarshalJSON(text []byte) error {
	s := strings.Trim(string(text), `"`)
	if v, err := parseUint(s, 0, 1<<64-1); err == nil {
		*n = jsonNumber(v)
		return nil
	}
	v, err := sizeAndCell(s)
	if err != nil {
		return fmt.Errorf("%s: want a number", text)
	}
	*n = jsonNumber(v)
	return nil
}

func (n *jsonNumber) opt() Opt[uint32] {
	if n == nil {
		return Opt[uint32]{}
	}
	return Some(uint32(*n))
}

func (n *jsonNumber) micros() Opt[time.Duration] {
	if n == nil {
		return Opt[time.Duration]{}
	}
	return Some(time.Duration(*n) * time.Microsecond)
}

func (n *jsonNumber) rate() Opt[Rate] {
	if n == nil {
		return Opt[Rate]{}
	}
	return Some(Rate(*n) * 8)
}

func codelMicros(n jsonNumber) time.Duration {
	return KernelCodelTime(time.Duration(n) * time.Microsecond)
}

func codelMicrosOpt(n *jsonNumber) Opt[time.Duration] {
	if n == nil {
		return Opt[time.Duration]{}
	}
	return Some(codelMicros(*n))
}

// position is a Switch for a boolean that is always printed.
func position(on bool) Switch {
	if on {
		return On
	}
	return Off
}

type jsonHTB struct {
	R2Q        jsonNumber      `json:"r2q"`
	Default    jsonNumber      `json:"default"`
	DirectQlen *jsonNumber     `json:"direct_qlen"`
	Offload    json.RawMessage `json:"offload"`
}

func (j *jsonHTB) options() (Options, error) {
	return HTB{Default: uint32(j.Default), R2Q: uint32(j.R2Q), DirectQlen: j.DirectQlen.opt(),
		Offload: j.Offload != nil}, nil
}

type jsonPfifo struct {
	Limit *jsonNumber `json:"limit"`
}

func (j *jsonPfifo) options() (Options, error) { return Pfifo{Limit: j.Limit.opt()}, nil }

type jsonBfifo struct {
	Limit *jsonNumber `json:"limit"`
}

func (j *jsonBfifo) options() (Options, error) { return Bfifo{Limit: j.Limit.opt()}, nil }

type jsonTbf struct {
	Rate      jsonNumber  `json:"rate"`
	Burst     jsonNumber  `json:"burst"`
	PeakRate  jsonNumber  `json:"peakrate"`
	MTU       jsonNumber  `json:"mtu"`
	MinBurst  jsonNumber  `json:"minburst"`
	MPU       jsonNumber  `json:"mpu"`
	Limit     jsonNumber  `json:"limit"`
	Latency   *jsonNumber `json:"lat"`
	Overhead  jsonNumber  `json:"overhead"`
	LinkLayer string      `json:"linklayer"`
}

func (j *jsonTbf) options() (Options, error) {
	o := Tbf{Rate: Rate(j.Rate) * 8, Burst: uint32(j.Burst), Limit: uint32(j.Limit), PeakRate: Rate(j.PeakRate) * 8,
		MTU: uint32(orZero(j.MTU, j.MinBurst)), MPU: uint32(j.MPU), Overhead: uint16(j.Overhead)}
	if o.Limit == 0 {
		o.Latency = j.Latency.micros().Value
	}
	var err error
	o.LinkLayer, err = jsonLinkLayer(j.LinkLayer)
	return o, err
}

func jsonLinkLayer(s string) (LinkLayer, error) {
	if s == "" || s == "unspec" {
		return LinkLayerUnset, nil
	}
	return parseLinkLayer(s)
}

type jsonCake struct {
	Bandwidth jsonBandwidth `json:"bandwidth"`
	Autorate  string        `json:"autorate"`
	Diffserv  string        `json:"diffserv"`
	FlowMode  string        `json:"flowmode"`
	NAT       bool          `json:"nat"`
	Wash      bool          `json:"wash"`
	Ingress   bool          `json:"ingress"`
	AckFilter string        `json:"ack-filter"`
	SplitGSO  bool          `json:"split_gso"`
	RTT       *jsonNumber   `json:"rtt"`
	Raw       bool          `json:"raw"`
	ATM       string        `json:"atm"`
	Overhead  int32         `json:"overhead"`
	MPU       jsonNumber    `json:"mpu"`
	MemLimit  jsonNumber    `json:"memlimit"`
	FwMark    jsonNumber    `json:"fwmark"`
}

// jsonBandwidth is bytes per second, or "unlimited" and 0.
type jsonBandwidth uint64

func (b *jsonBandwidth) UnmarshalJSON(text []byte) error {
	if string(text) == `"unlimited"` {
		*b = 0
		return nil
	}
	v, err := strconv.ParseUint(string(text), 10, 64)
	*b = jsonBandwidth(v)
	return err
}

func (j *jsonCake) options() (Options, error) {
	o := Cake{
		Bandwidth: Rate(j.Bandwidth) * 8,
		Unlimited: j.Bandwidth == 0,
		Autorate:  j.Autorate != "",
		RTT:       j.RTT.micros().Value,
		Diffserv:  indexOf[Diffserv](diffservWords[:], j.Diffserv),
		FlowMode:  indexOf[FlowMode](flowWords[:], j.FlowMode),
		NAT:       position(j.NAT),
		Wash:      position(j.Wash),
		SplitGSO:  position(j.SplitGSO),
		Ingress:   position(j.Ingress),
		AckFilter: AckFilterOff,
		ATM:       orZero(indexOf[CellMode](cellWords[:], j.ATM), CellNone),
		Overhead:  Some(j.Overhead),
		Raw:       j.Raw,
		MPU:       Some(uint32(j.MPU)),
		MemLimit:  Some(uint32(j.MemLimit)),
		FwMark:    Some(uint32(j.FwMark)),
	}
	switch {
	case j.AckFilter == "enabled":
		o.AckFilter = AckFilterOn
	case strings.HasSuffix(j.AckFilter, "aggressive"):
		o.AckFilter = AckFilterAggressive
	}
	if o.Diffserv == DiffservUnset || o.FlowMode == FlowUnset {
		return nil, fmt.Errorf("cake mode %q %q: %w", j.Diffserv, j.FlowMode, ErrUnknown)
	}
	return o, nil
}

type jsonFqCodel struct {
	Limit       jsonNumber  `json:"limit"`
	Flows       jsonNumber  `json:"flows"`
	Quantum     jsonNumber  `json:"quantum"`
	Target      jsonNumber  `json:"target"`
	Interval    jsonNumber  `json:"interval"`
	CEThreshold *jsonNumber `json:"ce_threshold"`
	CESelector  *jsonNumber `json:"ce_threshold_selector"`
	CEMask      *jsonNumber `json:"ce_threshold_mask"`
	MemoryLimit *jsonNumber `json:"memory_limit"`
	ECN         bool        `json:"ecn"`
	DropBatch   jsonNumber  `json:"drop_batch"`
}

func (j *jsonFqCodel) options() (Options, error) {
	o := FqCodel{Limit: uint32(j.Limit), Flows: uint32(j.Flows), Quantum: uint32(j.Quantum),
		Target: codelMicros(j.Target), Interval: codelMicros(j.Interval), CEThreshold: codelMicrosOpt(j.CEThreshold),
		MemoryLimit: j.MemoryLimit.opt(), ECN: position(j.ECN), DropBatch: uint32(j.DropBatch)}
	if j.CESelector != nil && j.CEMask != nil && *j.CEMask != 0 {
		o.CESelector = Some(CESelector{uint8(*j.CESelector), uint8(*j.CEMask)})
	}
	return o, nil
}

type jsonCodel struct {
	Limit       jsonNumber  `json:"limit"`
	Target      jsonNumber  `json:"target"`
	Interval    jsonNumber  `json:"interval"`
	CEThreshold *jsonNumber `json:"ce_threshold"`
	ECN         bool        `json:"ecn"`
}

func (j *jsonCodel) options() (Options, error) {
	return Codel{Limit: uint32(j.Limit), Target: codelMicros(j.Target), Interval: codelMicros(j.Interval),
		CEThreshold: codelMicrosOpt(j.CEThreshold), ECN: position(j.ECN)}, nil
}

type jsonFq struct {
	Limit            *jsonNumber     `json:"limit"`
	FlowLimit        *jsonNumber     `json:"flow_limit"`
	Quantum          *jsonNumber     `json:"quantum"`
	InitialQuantum   *jsonNumber     `json:"initial_quantum"`
	MaxRate          *jsonNumber     `json:"maxrate"`
	LowRateThreshold *jsonNumber     `json:"low_rate_threshold"`
	Buckets          jsonNumber      `json:"buckets"`
	OrphanMask       *jsonNumber     `json:"orphan_mask"`
	Pacing           *bool           `json:"pacing"`
	RefillDelay      *jsonNumber     `json:"refill_delay"`
	CEThreshold      *jsonNumber     `json:"ce_threshold"`
	TimerSlack       *jsonNumber     `json:"timer_slack"`
	Horizon          *jsonNumber     `json:"horizon"`
	HorizonCap       json.RawMessage `json:"horizon_cap"`
}

func (j *jsonFq) options() (Options, error) {
	o := Fq{Limit: j.Limit.opt(), FlowLimit: j.FlowLimit.opt(), Quantum: j.Quantum.opt(),
		InitialQuantum: j.InitialQuantum.opt(), MaxRate: j.MaxRate.rate(), LowRateThreshold: j.LowRateThreshold.rate(),
		Buckets: uint32(j.Buckets), OrphanMask: j.OrphanMask.opt(), Pacing: position(j.Pacing == nil || *j.Pacing),
		RefillDelay: j.RefillDelay.micros(), CEThreshold: j.CEThreshold.micros(), Horizon: j.Horizon.micros(),
		HorizonDrop: position(j.HorizonCap == nil)}
	if j.TimerSlack != nil {
		o.TimerSlack = Some(time.Duration(*j.TimerSlack))
	}
	return o, nil
}

type jsonSfq struct {
	Limit    jsonNumber `json:"limit"`
	Quantum  jsonNumber `json:"quantum"`
	Perturb  int32      `json:"perturb"`
	Divisor  jsonNumber `json:"divisor"`
	Flows    jsonNumber `json:"flows"`
	Depth    jsonNumber `json:"depth"`
	HeadDrop bool       `json:"headdrop"`
}

func (j *jsonSfq) options() (Options, error) {
	return Sfq{Limit: uint32(j.Limit), Quantum: uint32(j.Quantum), Perturb: j.Perturb, Divisor: uint32(j.Divisor),
		Flows: uint32(j.Flows), Depth: uint32(j.Depth), HeadDrop: j.HeadDrop}, nil
}
