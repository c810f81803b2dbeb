package bus

import "fmt"

// answerer encodes the answers of one connection. Its buffers are kept from one answer to the next, unless they grew
// large.
type answerer struct {
	doc, one []byte
}

// keptBuffer is the largest buffer, in bytes, that is kept for reuse.
const keptBuffer = 1 << 20

// failRoom is kept free in a document for each answer still to come, so that there is always room for a Fail.
const failRoom = 64

// encode makes the document {"responses":[…]} with at most MaxPayload bytes. A reply that can't be encoded, or that
// finds no room, is replaced by a Fail. The result is valid until the next call.
func (a *answerer) encode(codec Codec, replies []Reply) []byte {
	if cap(a.doc) > keptBuffer {
		a.doc = nil
	}
	if cap(a.one) > keptBuffer {
		a.one = nil
	}
	if codec == JSON {
		a.doc = append(a.doc[:0], `{"responses":[`...)
	} else {
		a.doc = appendText(append(a.doc[:0], majorMap|1), "responses")
		a.doc = appendHead(a.doc, majorArray, uint64(len(replies)))
	}
	for i, reply := range replies {
		if codec == JSON && i > 0 {
			a.doc = append(a.doc, ',')
		}
		a.append(codec, reply, MaxPayload-failRoom*(len(replies)-i))
	}
	if codec == JSON {
		a.doc = append(a.doc, "]}"...)
	}
	return a.doc
}

func (a *answerer) append(codec Codec, reply Reply, limit int) {
	doc, err := a.appendReply(codec, reply)
	if err != nil {
		doc, _ = a.appendReply(codec, Failf("the answer %s can't be encoded: %v", reply.Name, err))
	}
	if len(doc) > limit {
		doc, _ = a.appendReply(codec, Fail("the answer is too large"))
	}
	a.doc = doc
}

// appendReply returns the document with one more reply; a.doc stays as it is.
func (a *answerer) appendReply(codec Codec, reply Reply) ([]byte, error) {
	if codec == CBOR {
		return appendVariant(a.doc, reply.Name, reply.Value)
	}
	one, err := appendVariant(a.one[:0], reply.Name, reply.Value)
	if err != nil {
		return nil, err
	}
	a.one = one
	return appendJSON(a.doc, &reader{b: one})
}

// parseAnswer reads a document of replies. They alias the payload, or its translation.
func parseAnswer(payload []byte) ([]Reply, error) {
	_, data, err := checkDocument(payload)
	if err != nil {
		return nil, err
	}
	var key string
	list, err := findList(data, "responses", &key)
	if err != nil {
		return nil, err
	}
	replies := make([]Reply, 0, min(countElements(list), presized))
	r := &reader{b: list}
	for e := r.elements(r.head()); e.next(); {
		name, body, why := readVariant(r)
		if why != "" {
			return nil, fmt.Errorf("malformed reply %d: %s", len(replies), why)
		}
		replies = append(replies, newReply(name, body))
	}
	return replies, nil
}

// newReply keeps text as a string, so that a Fail that arrives equals the one that was sent.
func newReply(name []byte, body raw) Reply {
	if len(body) == 0 {
		if string(name) == nameAck {
			return Ack()
		}
		return Reply{Name: string(name)}
	}
	r := reader{b: body}
	if r.peek().major == majorText {
		if text, f := r.text(); f == nil {
			return Reply{Name: string(name), Value: string(text)}
		}
	}
	return Reply{Name: string(name), Value: body}
}
