package bus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Session is what one frame asks: requests that belong together and are answered together.
type Session struct {
	Requests []Request `json:"requests"`
	// Key is the client's name for this session, "" if it gave none. Sent again after an unknown outcome it lets the handler
	// see that the session was already taken. At most 128 bytes of text.
	Key string `json:"key"`

	// Prepared is what [Preparer] made of the session; nil: it wasn't asked.
	Prepared any `json:"-"`
}

// maxKey is the longest idempotency key, in bytes.
const maxKey = 128

// A request takes at least four bytes, say "Sit": what claims to hold more requests than that is made of something
// else, and is refused before the list is built: a Request and its Fail are much larger than a null. Documents below
// smallDocument may hold what they like, so that a slip in a single request is answered in its place.
const (
	minRequestSize = 4
	smallDocument  = 4096
)

// passed is a request of which nothing is known but that it is there. It takes no memory.
type passed struct{}

// UnmarshalCBOR passes over the request.
func (*passed) UnmarshalCBOR([]byte) error { return nil }

// UnmarshalJSON passes over the request.
func (*passed) UnmarshalJSON([]byte) error { return nil }

func checkCount(codec Codec, payload []byte) error {
	if len(payload) <= smallDocument || codec == CBOR && beginsWithFew(payload) {
		return nil
	}
	var count struct {
		Requests []passed `json:"requests"`
	}
	if err := parseDocument(codec, payload, &count); err != nil {
		return err
	}
	if n := len(count.Requests); n > len(payload)/minRequestSize {
		return fmt.Errorf("%d requests in %d bytes: they are too short to be requests", n, len(payload))
	}
	return nil
}

// onlyRequests is how a document begins that has nothing but requests.
var onlyRequests = []byte{cborMap | 1, cborText | 8, 'r', 'e', 'q', 'u', 'e', 's', 't', 's'}

// beginsWithFew reports a document whose first bytes tell already that it has nothing but requests, and not too many; it may fail to see that.
// Such a map has one entry, so there is no second list, and the decoder makes room for as many elements as the list says: no other number comes.
func beginsWithFew(payload []byte) bool {
	rest, ok := bytes.CutPrefix(payload, onlyRequests)
	n, _, known := cborHead(rest, cborArray)
	return ok && known && n <= len(payload)/minRequestSize
}

// oneRequest is how a document begins that has one request with a body, and no key: most of them do.
var oneRequest = slices.Concat(onlyRequests, []byte{cborArray | 1, cborMapOfOne})

// oneRequestOf is the session of such a document; false where it isn't one, or isn't in order. What follows its beginning is the request then.
func oneRequestOf(payload []byte) (Session, bool) {
	if !bytes.HasPrefix(payload, oneRequest) || cborDecoder.Wellformed(payload) != nil {
		return Session{}, false
	}
	s := Session{Requests: make([]Request, 1)}
	return s, s.Requests[0].UnmarshalCBOR(payload[len(oneRequest)-1:]) == nil
}

// ParseSession reads one document as a server does.
func ParseSession(payload []byte) (Session, error) {
	s, _, err := parseSession(payload, defaultMaxRequests)
	return s, err
}

// parseSession reads one document. The codec is right also when err is not nil.
func parseSession(payload []byte, maxRequests int) (Session, Codec, error) {
	if s, ok := oneRequestOf(payload); ok {
		return s, CBOR, nil
	}
	return parseRequests(payload, maxRequests)
}

// parseRequests is parseSession for any document.
func parseRequests(payload []byte, maxRequests int) (Session, Codec, error) {
	codec := codecOf(payload)
	var s Session
	err := checkCount(codec, payload)
	if err == nil {
		err = parseDocument(codec, payload, &s)
	}
	switch {
	case err != nil:
	case s.Requests == nil:
		err = errors.New("the document has no requests")
	case len(s.Requests) > maxRequests:
		err = fmt.Errorf("%d requests in one session, at most %d are taken", len(s.Requests), maxRequests)
	default:
		err = checkKey(s.Key)
	}
	if err != nil {
		return Session{}, codec, err
	}
	return s, codec, nil
}

// parseDocument reads a question or an answer.
func parseDocument(codec Codec, payload []byte, v any) error {
	if len(payload) == 0 {
		return errors.New("the document is empty")
	}
	if codec == JSON {
		if err := checkJSON(payload); err != nil {
			return err
		}
	}
	return inField(codec.unmarshal(payload, v))
}

func checkKey(key string) error {
	if len(key) > maxKey || !utf8.ValidString(key) {
		return fmt.Errorf("key is not utf-8 text of at most %d bytes", maxKey)
	}
	return nil
}

// marshalSession encodes a session in the given codec. The result may be of the room, which is empty.
func marshalSession(room *bytes.Buffer, codec Codec, key string, calls []Call) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if codec == CBOR && key == "" && len(calls) == 1 && calls[0].Args != nil {
		return marshalOne(room, calls[0])
	}
	return marshalCalls(codec, key, calls)
}

// marshalCalls is marshalSession for any session.
func marshalCalls(codec Codec, key string, calls []Call) ([]byte, error) {
	doc := struct {
		Key      string `json:"key,omitempty"`
		Requests []any  `json:"requests"`
	}{Key: key, Requests: make([]any, len(calls))}
	for i, c := range calls {
		if err := checkName(c.Name); err != nil {
			return nil, fmt.Errorf("encoding request %q: %w", c.Name, err)
		}
		doc.Requests[i] = variantOf(c.Name, c.Args)
	}
	data, err := codec.marshal(doc)
	if err != nil {
		return nil, notEncoded(codec, calls, err)
	}
	return data, nil
}

// marshalOne is marshalSession for oneRequest: no maps are made for what it begins with.
func marshalOne(room *bytes.Buffer, c Call) ([]byte, error) {
	if err := checkName(c.Name); err != nil {
		return nil, fmt.Errorf("encoding request %q: %w", c.Name, err)
	}
	room.Write(oneRequest)
	err := cborBuffers.MarshalToBuffer(c.Name, room)
	if err == nil {
		err = cborBuffers.MarshalToBuffer(c.Args, room)
	}
	if err != nil {
		return nil, notEncoded(CBOR, []Call{c}, err)
	}
	return room.Bytes(), nil
}

// notEncoded says which of the calls it is that can't be encoded.
func notEncoded(codec Codec, calls []Call, err error) error {
	for _, c := range calls {
		if _, err := marshalVariant(codec, c.Name, c.Args); err != nil {
			return fmt.Errorf("encoding request %s: %w", c.Name, err)
		}
	}
	return err
}

// encoded is a part of a document that is in its codec already.
type encoded cbor.RawMessage

// MarshalCBOR is the part itself.
func (e encoded) MarshalCBOR() ([]byte, error) { return e, nil }

// MarshalJSON is the part itself.
func (e encoded) MarshalJSON() ([]byte, error) { return e, nil }
