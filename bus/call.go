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
	var value json.RawMessage
	err := checkJSON(line)
	if err == nil {
		err = unmarshalJSON(line, &value)
	}
	if err != nil {
		return Call{}, fmt.Errorf("parsing request: %w", err)
	}
	name, args, err := body{JSON, value}.variant()
	if err != nil {
		return Call{}, fmt.Errorf("parsing request: %w", err)
	}
	call := Call{Name: name}
	if !args.none() {
		call.Args = json.RawMessage(args.data)
	}
	return call, nil
}
