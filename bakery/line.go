package bakery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"lqosd/eventlog"
)

// Line is a record as one line of JSON, from which its payload can be made again, byte for byte. What is beside the fields that
// `bakery-replay log --json` has comes only where it is needed.
type Line struct {
	Seq     eventlog.Seq    `json:"seq"`
	Time    time.Time       `json:"time,omitzero"`
	Sender  *Sender         `json:"sender,omitempty"`
	Kind    string          `json:"kind,omitempty"`
	Command json.RawMessage `json:"command,omitempty"`
	// Payload is the record's payload where the fields above don't give it: it then counts alone.
	Payload []byte `json:"payload,omitzero"`
	// Key is the idempotency key of the transaction that ends here, KeyBytes that key where it is no UTF-8.
	Key      string `json:"key,omitempty"`
	KeyBytes []byte `json:"key_bytes,omitempty"`
	// More: the record's transaction goes on with the next line.
	More bool `json:"more,omitempty"`
}

// maxLineJSON is how long a command's JSON may be before the payload, which is shorter, takes its place, in bytes.
const maxLineJSON = 2 * eventlog.MaxRecord

// LineOf makes the line of a durable record. A payload that this version doesn't know, or that is damaged, is carried as it is.
func LineOf(raw eventlog.Record) (Line, error) {
	l := Line{Seq: raw.Seq, More: !raw.TxEnd}
	if utf8.ValidString(raw.Key) {
		l.Key = raw.Key
	} else {
		l.KeyBytes = []byte(raw.Key)
	}
	r, err := DecodeRecord(raw.Seq, raw.Data)
	plain := err == nil && bytes.Equal(AppendRecord(nil, r), raw.Data)
	if !plain {
		l.Payload = append([]byte{}, raw.Data...) // one without bytes is there, too
		return l, nil
	}
	l.Time, l.Sender, l.Kind = r.Time, &r.Sender, r.Command.Kind().String()
	if l.Command, err = plainJSON(r.Command); err != nil || len(l.Command) > maxLineJSON || !gives(l, raw.Data) {
		l.Command, l.Payload = nil, raw.Data // NaN, or text that is no UTF-8
	}
	return l, nil
}

// gives reports a line whose fields give the payload. JSON says \ufffd for what is no UTF-8: only then that has to be tried.
func gives(l Line, payload []byte) bool {
	if !bytes.Contains(l.Command, []byte(`\ufffd`)) {
		return true
	}
	c, err := DecodeCommandJSON(l.Kind, l.Command)
	return err == nil && bytes.Equal(AppendRecord(nil, l.record(c)), payload)
}

func (l Line) record(c Command) Record {
	return Record{Seq: l.Seq, Time: l.Time.UTC(), Sender: *l.Sender, Command: c}
}

// plainJSON is the JSON of a value, in which <, > and & stand for themselves.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// JSON is the line, with its end.
func (l Line) JSON() ([]byte, error) {
	b, err := plainJSON(l)
	return append(b, '\n'), err
}

// ParseLine reads what [Line.JSON] wrote, or somebody changed or made. Fields that are missing, unknown or there twice, and values of a
// wrong type, are errors.
func ParseLine(text []byte) (Line, error) {
	var l Line
	if err := strictly(text, &l); err != nil {
		return Line{}, err
	}
	switch {
	case l.Key != "" && len(l.KeyBytes) > 0:
		return Line{}, errors.New("fields key and key_bytes: one of the two")
	case l.Payload != nil && l.Command != nil:
		return Line{}, errors.New("fields command and payload: one of the two")
	case l.Payload != nil:
		return l, l.same(text)
	case l.Command == nil:
		return Line{}, errors.New("field command: missing")
	case l.Sender == nil:
		return Line{}, errors.New("field sender: missing")
	case l.Time.IsZero():
		return Line{}, errors.New("field time: missing")
	case !time.Unix(0, l.Time.UnixNano()).Equal(l.Time):
		return Line{}, fmt.Errorf("field time: %s can't be counted in nanoseconds since 1970", l.Time)
	}
	return l, l.same(text)
}

// same wants text to have the fields of l, whose Command is checked by itself.
func (l Line) same(text []byte) error {
	again, err := plainJSON(l)
	if err != nil || bytes.Equal(again, bytes.TrimSpace(text)) {
		return err
	}
	return sameFields(text, again)
}

// Record makes the record and its payload, which is what the log held; a record of a newer version is eventlog.ErrNewerFormat.
func (l Line) Record() (r Record, payload []byte, err error) {
	payload = l.Payload
	if payload == nil {
		c, err := DecodeCommandJSON(l.Kind, l.Command)
		if err != nil {
			return Record{}, nil, err
		}
		payload = AppendRecord(nil, l.record(c))
	}
	r, err = DecodeRecord(l.Seq, payload) // it also knows what a command can't be
	if err == nil && l.Payload != nil && (l.Kind != "" && l.Kind != r.Command.Kind().String() || l.Sender != nil && *l.Sender != r.Sender ||
		!l.Time.IsZero() && !l.Time.Equal(r.Time)) {
		err = errors.New("kind, sender or time isn't what the payload has")
	}
	return r, payload, err
}

// IdempotencyKey is the key of the transaction that ends with the record; "" where it has none.
func (l Line) IdempotencyKey() string {
	if len(l.KeyBytes) > 0 {
		return string(l.KeyBytes)
	}
	return l.Key
}

// DecodeCommandJSON makes a command of what encoding/json makes of it. Fields that are missing, unknown or there twice, and values of a wrong
// type, are errors; a field that the JSON of a command leaves out where it is empty may be there, empty.
func DecodeCommandJSON(kind string, text []byte) (Command, error) {
	f, ok := jsonDecoders[kind]
	if !ok {
		return nil, fmt.Errorf("field kind: unknown kind %q", kind)
	}
	c, err := f(text)
	if err == nil {
		var again []byte
		if again, err = plainJSON(c); err == nil && !bytes.Equal(again, text) {
			err = sameFields(text, again)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("field command of %s: %w", kind, err)
	}
	return c, nil
}

// jsonDecoders has a decoder for each kind, by its name.
var jsonDecoders = map[string]func([]byte) (Command, error){
	KindClearPriorSettings.String():    jsonAs[ClearPriorSettings],
	KindMqSetup.String():               jsonAs[MqSetup],
	KindAddStructuralHTBClass.String(): jsonAs[AddStructuralHTBClass],
	KindAddCircuitHTBClass.String():    jsonAs[AddCircuitHTBClass],
	KindAddCircuitQdisc.String():       jsonAs[AddCircuitQdisc],
	KindExecuteTCCommands.String():     jsonAs[ExecuteTCCommands],
	KindMapIPToFlow.String():           jsonAs[MapIPToFlow],
	KindDelIPFlow.String():             jsonAs[DelIPFlow],
	KindClearIPFlow.String():           jsonAs[ClearIPFlow],
	KindCommit.String():                jsonCommit,
	KindChangeSiteSpeedLive.String():   jsonAs[ChangeSiteSpeedLive],
}

func jsonAs[C Command](text []byte) (Command, error) {
	var c C
	if err := strictly(text, &c); err != nil {
		return nil, err
	}
	return c, nil
}

func jsonCommit(text []byte) (Command, error) {
	var c struct {
		Commit
		Leaf struct {
			FastMbps float64 `json:"fast_mbps"`
			SlowRTT  string  `json:"slow_rtt"`
		} `json:"leaf"`
	}
	if err := strictly(text, &c); err != nil {
		return nil, err
	}
	c.Commit.Leaf.FastMbps = c.Leaf.FastMbps
	for _, rule := range []SlowRTT{SlowRTTExact, SlowRTTUpTo} {
		if c.Leaf.SlowRTT == rule.String() {
			c.Commit.Leaf.SlowRTT = rule
		}
	}
	if c.Leaf.SlowRTT != c.Commit.Leaf.SlowRTT.String() {
		return nil, fmt.Errorf("field leaf.slow_rtt: unknown rule %q", c.Leaf.SlowRTT)
	}
	for i, m := range c.Members {
		if (m.Site == nil) == (m.Circuit == nil) {
			return nil, fmt.Errorf("field members[%d]: must be a site or a circuit", i)
		}
	}
	return c.Commit, nil
}

// strictly decodes one JSON value into v.
func strictly(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("cut off")
	case err != nil:
		return plainJSONError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// plainJSONError says what is wrong without Go's names.
func plainJSONError(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("field %s: wrong type, or out of range: %s", kind.Field, kind.Value)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
