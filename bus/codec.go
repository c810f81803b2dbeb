package bus

// Codec is the encoding of a document. The server answers in the codec of the question.
type Codec uint8

// The two codecs. A JSON document is told from a CBOR one by its first byte, '{'.
const (
	CBOR Codec = iota
	JSON
)

// String is "cbor" or "json".
func (c Codec) String() string {
	if c == JSON {
		return "json"
	}
	return "cbor"
}

// Limits on a document, the same for both codecs.
const (
	maxDepth    = 32      // levels of arrays and maps, the document's own included
	maxElements = 1 << 20 // elements of one array, pairs of one map
)

// codecOf tells the codec of a document.
func codecOf(payload []byte) Codec {
	if len(payload) > 0 && payload[0] == '{' {
		return JSON
	}
	return CBOR
}

// marshal encodes v by its json tags: CBOR in the shortest forms, JSON without line ends.
func (c Codec) marshal(v any) ([]byte, error) {
	if c == JSON {
		return marshalJSON(v)
	}
	return cborEncoder.Marshal(v)
}

// unmarshal decodes one value, which may not be followed by anything, into what v points to.
func (c Codec) unmarshal(data []byte, v any) error {
	_, err := c.unmarshalFields(data, v)
	return err
}

// unmarshalFields is unmarshal, and tells whether all that came to a struct is known to be fields of it, each once.
func (c Codec) unmarshalFields(data []byte, v any) (onlyFields bool, err error) {
	if c == JSON {
		return false, unmarshalJSON(data, v)
	}
	return unmarshalCBOR(data, v)
}
