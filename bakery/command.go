package bakery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Command is what a client asked for. The concrete types are those of this file,
// [Commit] and [ChangeSiteSpeedLive]; their JSON tags are the field names on the bus.
type Command interface {
	// Kind names the command in logs, listings and the record format.
	Kind() Kind
}

// Kind is the type of a command. The numbers are part of the record format.
type Kind uint8

// The kinds of commands. Never renumber: logs hold them.
const (
	KindClearPriorSettings    Kind = 1
	KindMqSetup               Kind = 2
	KindAddStructuralHTBClass Kind = 3
	KindAddCircuitHTBClass    Kind = 4
	KindAddCircuitQdisc       Kind = 5
	KindExecuteTCCommands     Kind = 6
	KindMapIPToFlow           Kind = 7
	KindDelIPFlow             Kind = 8
	KindClearIPFlow           Kind = 9
	KindCommit                Kind = 10
	KindChangeSiteSpeedLive   Kind = 11
)

var kindNames = map[Kind]string{
	KindClearPriorSettings:    "ClearPriorSettings",
	KindMqSetup:               "MqSetup",
	KindAddStructuralHTBClass: "AddStructuralHTBClass",
	KindAddCircuitHTBClass:    "AddCircuitHTBClass",
	KindAddCircuitQdisc:       "AddCircuitQdisc",
	KindExecuteTCCommands:     "ExecuteTCCommands",
	KindMapIPToFlow:           "MapIpToFlow",
	KindDelIPFlow:             "DelIpFlow",
	KindClearIPFlow:           "ClearIpFlow",
	KindCommit:                "Commit",
	KindChangeSiteSpeedLive:   "ChangeSiteSpeedLive",
}

// String is the name that documents and listings use: "AddCircuitHTBClass".
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// shapes reports a kind whose commands change qdiscs and classes.
func (k Kind) shapes() bool {
	return k != KindMapIPToFlow && k != KindDelIPFlow && k != KindClearIPFlow
}

// maps reports a kind whose commands change address mappings.
func (k Kind) maps() bool { return !k.shapes() || k == KindCommit }

// MarshalText makes a Kind readable in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ParseKind reads the name of a kind, with or without the bus's "Bakery" in
// front ("BakeryMqSetup", "MqSetup", "mqsetup").
func ParseKind(s string) (Kind, error) {
	for k := KindClearPriorSettings; k <= KindChangeSiteSpeedLive; k++ {
		if n := k.String(); strings.EqualFold(s, n) || strings.EqualFold(s, "Bakery"+n) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind %q: there are %s", s, strings.Join(KindNames(), ", "))
}

// KindNames are the names of all kinds, without the bus's "Bakery".
func KindNames() (names []string) {
	for k := KindClearPriorSettings; k <= KindChangeSiteSpeedLive; k++ {
		names = append(names, k.String())
	}
	return names
}

// ClearPriorSettings empties the Tree: a new generation. Address mappings stay.
type ClearPriorSettings struct {
	// Links are those that had an mq root, the subscribers' side first: filled in when
	// the command is resolved.
	Links []string `json:"links,omitempty"`
}

// MqSetup starts a new generation with the skeleton: root, queues and default
// classes of every managed link.
type MqSetup struct {
	// QueuesAvailable and StickOffset are what second-generation clients send; nil otherwise.
	QueuesAvailable *int `json:"queues_available,omitempty"`
	StickOffset     *int `json:"stick_offset,omitempty"`

	// Down and Up are filled in when the command is resolved: the direction
	// towards the subscribers and the one towards the internet.
	Down Direction `json:"down,omitzero"`
	Up   Direction `json:"up,omitzero"`
	// R2Q is the quantum divisor of the skeleton's classes, resolved.
	R2Q uint64 `json:"r2q,omitempty"`
}

// Direction is one direction of the skeleton.
type Direction struct {
	Link         string   `json:"link"`
	FirstMajor   uint16   `json:"first_major"`   // major of its first queue's HTB
	Queues       uint16   `json:"queues"`        // number of queues
	CapacityMbps float64  `json:"capacity_mbps"` // Mbit/s of the link
	SQM          []string `json:"sqm"`           // leaf qdisc words, "cake diffserv4"
}

// Stick reports whether both directions share one link.
func (m MqSetup) Stick() bool { return m.Down.Link == m.Up.Link }

// AddStructuralHTBClass adds or updates the class of a site.
type AddStructuralHTBClass struct {
	Link     string  `json:"interface"`
	Parent   string  `json:"parent"`    // as the client wrote it: "0x1:0x3"
	ClassID  string  `json:"classid"`   // as the client wrote it; without a major it takes the parent's
	RateMbps float64 `json:"rate_mbps"` // guaranteed, Mbit/s
	CeilMbps float64 `json:"ceil_mbps"` // upper bound, Mbit/s
	SiteHash int64   `json:"site_hash"`
	R2Q      uint64  `json:"r2q"`
}

// AddCircuitHTBClass adds or updates the class of a subscriber's circuit.
type AddCircuitHTBClass struct {
	Link        string  `json:"interface"`
	Parent      string  `json:"parent"`
	ClassID     string  `json:"classid"`
	RateMbps    float64 `json:"rate_mbps"`
	CeilMbps    float64 `json:"ceil_mbps"`
	CircuitHash int64   `json:"circuit_hash"`
	Comment     *string `json:"comment"`
	R2Q         uint64  `json:"r2q"`
}

// AddCircuitQdisc adds or updates the leaf qdisc of a class.
type AddCircuitQdisc struct {
	Link        string   `json:"interface"`
	ParentMajor uint32   `json:"parent_major"`
	ParentMinor uint32   `json:"parent_minor"`
	CircuitHash int64    `json:"circuit_hash"`
	SQM         []string `json:"sqm_params"` // kind and options: "cake", "diffserv4"
}

// ExecuteTCCommands folds tc(8) lines, given without "tc" in front. In a Record
// Lines holds only what was accepted.
type ExecuteTCCommands struct {
	Lines []string `json:"commands"`
	Force bool     `json:"force_mode"` // accept the good lines even if others are bad
	// Opaque are the indices of the lines that were taken as opaque, in order: filled
	// in when the command is resolved, so that a parser which learns more doesn't
	// change what a log means.
	Opaque []int `json:"opaque,omitempty"`
}

// MapIPToFlow steers an address or prefix to a class.
type MapIPToFlow struct {
	Address   string  `json:"ip_address"` // "100.64.0.1", "fdd7::/56"
	Handle    uint32  `json:"tc_handle"`  // class, major<<16|minor
	CPU       uint32  `json:"cpu"`
	Upload    bool    `json:"upload"` // the mapping of the upload direction (on a stick)
	CircuitID *uint64 `json:"circuit_id"`
	DeviceID  *uint64 `json:"device_id"`
}

// DelIPFlow removes one mapping. A mapping that isn't there stays away: no error.
type DelIPFlow struct {
	Address string `json:"ip_address"`
	Upload  bool   `json:"upload"`
}

// ClearIPFlow removes all mappings.
type ClearIPFlow struct{}

// Kind implements Command.
func (ClearPriorSettings) Kind() Kind { return KindClearPriorSettings }

// Kind implements Command.
func (MqSetup) Kind() Kind { return KindMqSetup }

// Kind implements Command.
func (AddStructuralHTBClass) Kind() Kind { return KindAddStructuralHTBClass }

// Kind implements Command.
func (AddCircuitHTBClass) Kind() Kind { return KindAddCircuitHTBClass }

// Kind implements Command.
func (AddCircuitQdisc) Kind() Kind { return KindAddCircuitQdisc }

// Kind implements Command.
func (ExecuteTCCommands) Kind() Kind { return KindExecuteTCCommands }

// Kind implements Command.
func (MapIPToFlow) Kind() Kind { return KindMapIPToFlow }

// Kind implements Command.
func (DelIPFlow) Kind() Kind { return KindDelIPFlow }

// Kind implements Command.
func (ClearIPFlow) Kind() Kind { return KindClearIPFlow }

// ErrUnknownRequest says that a name isn't one of the bus's command requests.
var ErrUnknownRequest = errors.New("unknown request")

// decoders maps the bus's request names to a function that decodes the request's
// body with decode and gives back the command.
var decoders = map[string]func(decode func(any) error) (Command, error){
	"BakeryClearPriorSettings":    fixed(ClearPriorSettings{}),
	"BakeryMqSetup":               decodeMqSetup,
	"BakeryAddStructuralHTBClass": decodeAs[AddStructuralHTBClass],
	"BakeryAddCircuitHTBClass":    decodeAs[AddCircuitHTBClass],
	"BakeryAddCircuitQdisc":       decodeAs[AddCircuitQdisc],
	"BakeryExecuteTCCommands":     decodeExecute,
	"MapIpToFlow":                 decodeAs[MapIPToFlow],
	"DelIpFlow":                   decodeAs[DelIPFlow],
	"ClearIpFlow":                 fixed(ClearIPFlow{}),
	"BakeryChangeSiteSpeedLive":   decodeSpeed,
}

// Requests are the names of the bus's command requests, sorted.
func Requests() []string { return slices.Sorted(maps.Keys(decoders)) }

// DecodeCommand makes the command that a bus request of this name asks for.
// decode fills a pointer to a struct with JSON tags from the request's body, and
// is called with a nil-bodied request too ("BakeryMqSetup" as plain text has no
// body: body says so). The error is ErrUnknownRequest for other names.
func DecodeCommand(name string, body bool, decode func(any) error) (Command, error) {
	f, ok := decoders[name]
	if !ok {
		return nil, fmt.Errorf("%w %s", ErrUnknownRequest, name)
	}
	if !body && name == "BakeryMqSetup" {
		return MqSetup{}, nil
	}
	return f(decode)
}

func fixed(c Command) func(func(any) error) (Command, error) {
	return func(func(any) error) (Command, error) { return c, nil }
}

func decodeAs[C Command](decode func(any) error) (Command, error) {
	var c C
	if err := decode(&c); err != nil {
		return nil, err
	}
	return c, nil
}

// decodeMqSetup takes the second generation's form only: what the resolver
// fills in can't be sent.
func decodeMqSetup(decode func(any) error) (Command, error) {
	var f struct {
		QueuesAvailable int `json:"queues_available"`
		StickOffset     int `json:"stick_offset"`
	}
	if err := decode(&f); err != nil {
		return nil, err
	}
	return MqSetup{QueuesAvailable: &f.QueuesAvailable, StickOffset: &f.StickOffset}, nil
}

// decodeExecute leaves out, too, what the resolver fills in.
func decodeExecute(decode func(any) error) (Command, error) {
	var c ExecuteTCCommands
	err := decode(&c)
	c.Opaque = nil
	return c, err
}

// decodeSpeed leaves out, too, what the resolver fills in.
func decodeSpeed(decode func(any) error) (Command, error) {
	var c ChangeSiteSpeedLive
	err := decode(&c)
	c.Classes, c.R2Q = nil, 0
	return c, err
}
