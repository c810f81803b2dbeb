package bus

import (
	"context"
	"fmt"
	"testing"
)

type benchSite struct {
	Hash   int64   `json:"site_hash"`
	Parent uint32  `json:"parent_class_id"`
	Up     uint32  `json:"up_parent_class_id"`
	Minor  uint16  `json:"class_minor"`
	DMin   float32 `json:"download_bandwidth_min"`
	UMin   float32 `json:"upload_bandwidth_min"`
	DMax   float32 `json:"download_bandwidth_max"`
	UMax   float32 `json:"upload_bandwidth_max"`
}

// benchServer decodes what it is asked, as a daemon would.
func benchServer(b *testing.B) *served {
	return serve(b, accepting(func(_ context.Context, s Session) func() []Reply {
		replies := make([]Reply, len(s.Requests))
		for i, r := range s.Requests {
			replies[i] = Ack()
			if !r.HasBody() {
				continue
			}
			var site benchSite
			if err := r.Decode(&site); err != nil {
				replies[i] = Fail(err.Error())
			}
		}
		return func() []Reply { return replies }
	}))
}

func benchCalls(n int) []Call {
	calls := make([]Call, n)
	for i := range calls {
		calls[i] = Call{"BakeryAddSite", benchSite{int64(i) - 5e18, 65536, 131072, uint16(i), 0.5, 0.2, 105.5, 18}}
	}
	return calls
}

// One small request at a time.
func BenchmarkRoundTrip(b *testing.B) {
	c := dial(b, benchServer(b), CBOR)
	ctx, call := context.Background(), benchCalls(1)
	b.ReportAllocs()
	for b.Loop() {
		if replies, err := c.Do(ctx, call...); err != nil || !replies[0].IsAck() {
			b.Fatal(replies, err)
		}
	}
}

// 1,024 sessions of one request in flight all the time.
func BenchmarkPipelined(b *testing.B) {
	c := dial(b, benchServer(b), CBOR)
	ctx, call := context.Background(), benchCalls(1)
	var window [1024]*Future
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		slot := &window[i%len(window)]
		if *slot != nil {
			if replies, err := (*slot).Wait(ctx); err != nil || !replies[0].IsAck() {
				b.Fatal(replies, err)
			}
		}
		*slot = c.Go(call...)
		i++
	}
	for _, f := range window {
		if f != nil {
			_, _ = f.Wait(ctx)
		}
	}
}

// One session of 10,000 requests, with its encoding and decoding on both sides.
func BenchmarkSession10000(b *testing.B) {
	for _, codec := range []Codec{CBOR, JSON} {
		b.Run(codec.String(), func(b *testing.B) {
			c := dial(b, benchServer(b), codec)
			ctx, calls := context.Background(), benchCalls(10_000)
			b.SetBytes(int64(len(document(b, codec, calls...))))
			b.ReportAllocs()
			for b.Loop() {
				if replies, err := c.Do(ctx, calls...); err != nil || !replies[9_999].IsAck() {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// The server's share of such a session: parsing the document and decoding every request.
func BenchmarkDecode(b *testing.B) {
	for _, codec := range []Codec{CBOR, JSON} {
		b.Run(codec.String(), func(b *testing.B) {
			doc := document(b, codec, benchCalls(60_000)...)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				s, _, err := parse(doc)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range s.Requests {
					var site benchSite
					if err := r.Decode(&site); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)*60_000/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// An answer that holds a byte string of 4 MiB.
func BenchmarkLargeAnswer(b *testing.B) {
	for _, codec := range []Codec{CBOR, JSON} {
		b.Run(codec.String(), func(b *testing.B) {
			type chunk struct {
				Data []byte `json:"data"`
			}
			data := make([]byte, 4<<20)
			c := dial(b, serve(b, accepting(replyAll(func(Request) Reply { return Reply{Name: "Chunk", Value: chunk{data}} }))), codec)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				replies, err := c.Do(context.Background(), Call{Name: "Copy"})
				var got chunk
				if err == nil {
					err = replies[0].Decode(&got)
				}
				if err != nil || len(got.Data) != len(data) {
					b.Fatal(fmt.Sprint(len(got.Data), err))
				}
			}
		})
	}
}
