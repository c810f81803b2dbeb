package eventlog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// commandLike returns n payloads of 128 bytes, half of each random, as hard to compress as commands are.
func commandLike(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		b := make([]byte, 128)
		for j := range 64 {
			b[j] = byte(rng.Uint32())
		}
		out[i] = b
	}
	return out
}

// BenchmarkAppend is one client that waits for each transaction.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Options{})
			tx := Tx{Records: commandLike(n)}
			b.ReportAllocs()
			for b.Loop() {
				if l.NeedsRoll() {
					mustRoll(b, l, 0, "")
				}
				if _, err := l.Append(context.Background(), tx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkAppendParallel is many clients that each wait for their transactions of one record.
func BenchmarkAppendParallel(b *testing.B) {
	for _, n := range []int{2, 8, 64, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Options{})
			tx := Tx{Records: commandLike(1)}
			each := max(b.N/n, 1)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for range each {
						if _, err := l.Append(context.Background(), tx); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(each*n)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(each*n)/float64(l.commits.Load()), "records/commit")
		})
	}
}

// BenchmarkAppendPipelined is one client that does not wait, with up to 1,024 transactions under way.
func BenchmarkAppendPipelined(b *testing.B) {
	l := mustOpen(b, b.TempDir(), Options{})
	tx := Tx{Records: commandLike(1)}
	window := make(chan *Pending, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if len(window) == cap(window) {
			if _, err := (<-window).Wait(); err != nil {
				b.Fatal(err)
			}
		}
		p, err := l.Enqueue(tx)
		if err != nil {
			b.Fatal(err)
		}
		window <- p
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkReplay reads a million records from sealed and live segments.
func BenchmarkReplay(b *testing.B) {
	const total, perTx = 1_000_000, 1000
	dir := b.TempDir()
	l := mustOpen(b, dir, Options{NoSync: true})
	tx := Tx{Records: commandLike(perTx)}
	for range total / perTx {
		if l.NeedsRoll() {
			mustRoll(b, l, 0, "")
		}
		if _, err := l.Append(context.Background(), tx); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, l)
	replay := func(b *testing.B) {
		r, err := OpenReader(dir)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		n := 0
		for _, err := range r.Records(0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != total {
			b.Fatalf("%d records", n)
		}
	}
	b.Run("records", func(b *testing.B) {
		for b.Loop() {
			replay(b)
		}
		b.ReportMetric(float64(b.N)*total/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			verifyClean(b, dir)
		}
		b.ReportMetric(float64(b.N)*total/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			mustClose(b, mustOpen(b, dir, Options{}))
		}
	})
}
