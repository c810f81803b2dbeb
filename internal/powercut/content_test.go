package powercut

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestContent compares a content with plain bytes over many changes.
func TestContent(t *testing.T) {
	for seed := range uint64(60) {
		dice := rand.New(rand.NewPCG(seed, 0))
		c, want := newContent(), []byte{}
		for range 20 {
			at := dice.IntN(4000)
			switch dice.IntN(4) {
			case 0:
				c.truncate(int64(at))
				want = append(want, make([]byte, 4000)...)[:max(at, 0)]
			case 1:
				c.grow(int64(at))
				want = append(want, make([]byte, max(0, at-len(want)))...)
			default:
				b := bytes.Repeat([]byte{byte(1 + dice.IntN(255))}, 1+dice.IntN(1500))
				before := c.clone()
				c.write(int64(at), b, nil)
				if got := all(t, before); !bytes.Equal(got, want) {
					t.Fatalf("seed %d: a clone changed", seed)
				}
				want = append(want, make([]byte, max(0, at+len(b)-len(want)))...)
				copy(want[at:], b)
			}
			if got := all(t, c); !bytes.Equal(got, want) {
				t.Fatalf("seed %d: %d bytes differ from %d", seed, len(got), len(want))
			}
		}
		path := filepath.Join(t.TempDir(), "saved")
		if err := (&fileState{content: c, mode: 0o600}).save(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: saved %d bytes differ from %d, %v", seed, len(got), len(want), err)
		}
	}
}

func all(t *testing.T, c *content) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.size))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
