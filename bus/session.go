package bus

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Session is what one frame asks: requests that belong together and are answered together.
type Session struct {
	Requests []Request
	// Key is the client's name for this session, "" if it gave none. Sent again after an unknown outcome it lets the handler
	// see that the session was already taken. At most 255 bytes of text.
	Key string
}

// A request takes at least four bytes, say "Sit": what claims to hold more requests than that is made of something
// else, and is refused before the list is built. Short documents have some leeway, so that a slip in a single request is
// answered in its place.
const (
	minRequestSize = 4
	requestLeeway  = 64
)

// sessionParser reads the sessions of one connection. It keeps the names it has seen, of which there are few.
type sessionParser struct {
	maxRequests int
	names       map[string]string
}

// maxNames bounds the names kept: a client that invents more pays with an allocation for each.
const maxNames = 256

// parse reads one document. The requests alias payload, or its translation. The codec is right also when err is not nil.
func (p *sessionParser) parse(payload []byte) (Session, Codec, error) {
	codec, data, err := checkDocument(payload)
	if err != nil {
		return Session{}, codec, err
	}
	var s Session
	list, err := findList(data, "requests", &s.Key)
	if err != nil {
		return Session{}, codec, err
	}
	n := countElements(list)
	if n > p.maxRequests {
		return Session{}, codec, fmt.Errorf("%d requests in one session, at most %d are taken", n, p.maxRequests)
	}
	if n > len(data)/minRequestSize+requestLeeway {
		return Session{}, codec, fmt.Errorf("%d requests in %d bytes: they are too short to be requests", n, len(data))
	}
	s.Requests = make([]Request, 0, n)
	r := &reader{b: list}
	for e := r.elements(r.head()); e.next(); {
		s.Requests = append(s.Requests, p.request(r))
	}
	return s, codec, nil
}

func (p *sessionParser) request(r *reader) Request {
	start := r.off
	name, body, why := readVariant(r)
	if why != "" {
		r.off = start
		return Request{body: r.item()}
	}
	return Request{Name: p.intern(name), body: body}
}

func (p *sessionParser) intern(name []byte) string {
	if s, ok := p.names[string(name)]; ok {
		return s
	}
	s := string(name)
	if p.names == nil {
		p.names = map[string]string{}
	}
	if len(p.names) < maxNames {
		p.names[s] = s
	}
	return s
}

// checkDocument tells the codec and returns the document as CBOR that is known to be well-formed.
func checkDocument(payload []byte) (Codec, []byte, error) {
	switch {
	case len(payload) == 0:
		return CBOR, nil, errors.New("the document is empty")
	case payload[0] == '{':
		data, err := appendFromJSON(make([]byte, 0, len(payload)), payload)
		return JSON, data, err
	}
	return CBOR, payload, checker.Wellformed(payload)
}

// findList finds the array under the given name in a document, and the text under "key".
func findList(data []byte, name string, key *string) (list []byte, err error) {
	r := &reader{b: data}
	h := r.head()
	if h.major != majorMap {
		return nil, fmt.Errorf("the document is %s, not a map", h.kind())
	}
	keyed := false
	for e := r.elements(h); e.next(); {
		field := r.head()
		if field.major != majorText {
			return nil, fmt.Errorf("a name in the document is %s, not text", field.kind())
		}
		switch string(r.content(field)) {
		case name:
			if list != nil {
				return nil, fmt.Errorf("%s given twice", name)
			}
			if k := r.peek(); k.major != majorArray {
				return nil, fmt.Errorf("%s is %s, not an array", name, k.kind())
			}
			list = r.item()
		case "key":
			if keyed {
				return nil, errors.New("key given twice")
			}
			keyed = true
			if *key, err = readKey(r); err != nil {
				return nil, err
			}
		default:
			r.skip()
		}
	}
	if list == nil {
		return nil, fmt.Errorf("the document has no %s", name)
	}
	return list, nil
}

// readKey reads the idempotency key; null is none.
func readKey(r *reader) (string, error) {
	h := r.head()
	if h.isNull() {
		return "", nil
	}
	if h.major != majorText {
		return "", fmt.Errorf("key is %s, not text", h.kind())
	}
	key := r.content(h)
	return string(key), checkKey(string(key))
}

func checkKey(key string) error {
	if len(key) > maxName || !utf8.ValidString(key) {
		return fmt.Errorf("key is not utf-8 text of at most %d bytes", maxName)
	}
	return nil
}

// countElements counts the elements of an array.
func countElements(list []byte) int {
	r := &reader{b: list}
	h := r.head()
	if !h.indefinite() {
		return int(h.arg)
	}
	n := 0
	for e := r.elements(h); e.next(); n++ {
		r.skip()
	}
	return n
}

// appendSession encodes a session in the given codec.
func appendSession(dst []byte, codec Codec, key string, calls []Call) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, majorMap|1)
	if key != "" {
		dst[start]++
		dst = appendText(appendText(dst, "key"), key)
	}
	dst = appendHead(appendText(dst, "requests"), majorArray, uint64(len(calls)))
	for _, c := range calls {
		if why := checkName([]byte(c.Name)); why != "" {
			return dst, fmt.Errorf("encoding request %q: %s", c.Name, why)
		}
		var err error
		if dst, err = appendVariant(dst, c.Name, c.Args); err != nil {
			return dst, fmt.Errorf("encoding request %s: %w", c.Name, err)
		}
	}
	if codec == CBOR {
		return dst, nil
	}
	return appendJSON(nil, &reader{b: dst[start:]})
}
