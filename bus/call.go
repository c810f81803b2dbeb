package bus

import (
	"encoding/json"
	"fmt"
)

// Call is one request to be sent: "Name" when Args is nil, else {"Name": Args}. Args is a struct with json tags, a
// map[string]T, or a json.RawMessage.
type Call struct {
	Name string
	Args any
}

// ParseCall reads one request in JSON: "Ping", {"Ping":null} or {"BakeryMqSetup":{…}}. The arguments are kept as they are
// written, so that 64-bit integers lose nothing; Args is a json.RawMessage, or nil.
func ParseCall(line []byte) (Call, error) {
	data, err := appendFromJSON(nil, line)
	if err != nil {
		return Call{}, fmt.Errorf("parsing request: %w", err)
	}
	name, body, why := readVariant(&reader{b: data})
	if why != "" {
		return Call{}, fmt.Errorf("parsing request: %s", why)
	}
	call := Call{Name: string(name)}
	if len(body) == 0 {
		return call, nil
	}
	args, err := appendJSON(nil, &reader{b: body})
	if err != nil {
		return Call{}, fmt.Errorf("parsing request %s: %w", name, err)
	}
	call.Args = json.RawMessage(args)
	return call, nil
}
