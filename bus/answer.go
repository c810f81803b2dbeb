package bus

import (
	"bytes"
	"errors"
	"fmt"
)

// failRoom is kept free in a document for each answer still to come, so that there is always room for a Fail.
const failRoom = 64

// maxMisfits is how many replies of a session may find no room before no more are asked for that are not there yet.
const maxMisfits = 16

// marshalAnswer makes the document {"responses":[…]} with at most MaxPayload bytes. A reply that can't be encoded, or
// that finds no room, is replaced by a Fail.
func marshalAnswer(codec Codec, replies []Reply) []byte {
	return marshalHeld(codec, replies, func(int64) bool { return true })
}

// marshalHeld is marshalAnswer that counts the bytes of the replies as it goes, and gives them back at its end. When hold is
// false nobody will read the answer: what can be left out is.
func marshalHeld(codec Codec, replies []Reply, hold func(int64) bool) []byte {
	if len(replies) == 1 && replies[0].IsAck() && replies[0].Value == nil {
		return ackAnswers[codec]
	}
	return marshalReplies(codec, replies, hold)
}

// acks are the replies that are most of all, in either codec.
var acks = [2][]byte{CBOR: must(CBOR.marshal(nameAck)), JSON: must(JSON.marshal(nameAck))}

// ackAnswers are what most sessions are answered, in either codec: one request, done.
var ackAnswers = [2][]byte{
	CBOR: marshalReplies(CBOR, []Reply{Ack()}, func(int64) bool { return true }),
	JSON: marshalReplies(JSON, []Reply{Ack()}, func(int64) bool { return true }),
}

func marshalReplies(codec Codec, replies []Reply, hold func(int64) bool) []byte {
	doc := struct {
		Responses []encoded `json:"responses"`
	}{make([]encoded, len(replies))}
	room := MaxPayload - failRoom*(len(replies)+1)
	held, read, misfits := int64(0), true, 0
	for i, reply := range replies {
		if later, ok := reply.Value.(Later); ok {
			if reply = Fail("the answer is too large"); read && misfits < maxMisfits {
				reply = later()
			}
		}
		data := marshalReply(codec, reply)
		if len(data) > failRoom && len(data)-failRoom > room {
			data = marshalReply(codec, Fail("the answer is too large"))
			misfits++
		}
		room -= max(len(data)-failRoom, 0)
		doc.Responses[i] = data
		held, read = held+int64(len(data)), hold(int64(len(data)))
	}
	defer hold(-held)
	payload, err := codec.marshal(doc)
	if err != nil {
		return marshalFails(codec, len(replies), fmt.Sprintf("the answer can't be encoded: %v", err))
	}
	return payload
}

// marshalReply encodes one reply, or a Fail that says why it can't be encoded.
func marshalReply(codec Codec, reply Reply) []byte {
	if reply.IsAck() && reply.Value == nil {
		return acks[codec]
	}
	data, err := marshalVariant(codec, reply.Name, reply.Value)
	if err != nil {
		return marshalReply(codec, Failf("the answer %s can't be encoded: %v", reply.Name, err))
	}
	return data
}

// marshalFails is the answer to n requests when there is no other. Text can always be encoded.
func marshalFails(codec Codec, n int, why string) []byte {
	fails := make([]map[string]string, n)
	for i := range fails {
		fails[i] = map[string]string{nameFail: why}
	}
	payload, _ := codec.marshal(map[string]any{"responses": fails})
	return payload
}

// isAckAnswer reports what most sessions are answered. Nothing of it is kept.
func isAckAnswer(payload []byte) bool { return bytes.Equal(payload, ackAnswers[codecOf(payload)]) }

// parseAnswer reads a document of replies.
func parseAnswer(payload []byte) ([]Reply, error) {
	codec := codecOf(payload)
	if isAckAnswer(payload) {
		return []Reply{Ack()}, nil
	}
	var doc struct {
		Responses []Reply `json:"responses"`
	}
	if err := parseDocument(codec, payload, &doc); err != nil {
		return nil, err
	}
	if doc.Responses == nil {
		return nil, errors.New("the document has no responses")
	}
	return doc.Responses, nil
}
