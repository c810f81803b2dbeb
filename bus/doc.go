// Package bus is the daemon's front door: a unix stream socket, the frames on it, the documents in the frames, and the
// client for all of it. It knows no shaping: the names and bodies of requests are opaque here.
//
//	client                         server
//	Call ─ document ─ frame ──►  reader ──► Conn.Submit ──► wait ──► writer ──► frame ─ document ─ Reply
//	                             (decodes)   (handler)      (blocks)  (batches)
//
// Three goroutines serve a connection. The reader takes frames off the socket, decodes the sessions and hands them to
// [Conn.Submit], in order of arrival; those that arrived together go to [GroupConn.SubmitAll] together, before the reader waits
// for anything. The answerer calls the returned wait functions, in the same order, and encodes what
// they return. The writer puts whatever has been encoded meanwhile into one write. Between them lie two bounded
// queues, so that a sender that is faster than the handler, or that does not read its answers, is slowed down by its own
// socket and disturbs nobody else. The limits are in [Options]; what they mean to a client is in docs/bus.md, together
// with the whole protocol.
//
// Guarantees:
//
//   - Every session that was handed to Submit is answered, in order, with one reply per request, or the connection ends.
//   - Everything a client sent before it went away is submitted, also when it did not wait for the answers.
//   - No input makes the server panic or hold more memory than a small multiple of the bytes that arrived.
//   - A panic in a handler ends the connection it happened on and nothing else.
//
// The codecs are github.com/fxamacker/cbor and encoding/json; a document is not translated from one to the other, a body
// stays as it came until Decode. Ours are the limits that encoding/json lacks, names that are as they are written and come
// once, the fields that must not be missing, and the words for what is wrong.
package bus
