package radix

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// genKey has neighbours, keys far from each other, and the last one.
var genKey = rapid.OneOf(rapid.Uint32Range(0, 70), rapid.Uint32Range(0x7fff0000, 0x7fff0004), rapid.SampledFrom([]uint32{1 << 5, 1 << 12, 1 << 19, 1 << 26, 0xfffffff1, 0xffffffff}))

// model is a map and what it should hold.
type model struct {
	m      *Map[uint32, int]
	wanted map[uint32]int
}

func (m model) check(t *rapid.T) {
	if m.m.Len() != len(m.wanted) {
		t.Fatalf("%d keys, want %d", m.m.Len(), len(m.wanted))
	}
	var keys []uint32
	m.m.Scan(func(k uint32, v int) bool {
		if w, ok := m.wanted[k]; !ok || v != w {
			t.Fatalf("key %x is %d, want %d (%v)", k, v, w, ok)
		}
		keys = append(keys, k)
		return true
	})
	sorted := slices.Sorted(maps.Keys(m.wanted))
	if !slices.Equal(keys, sorted) {
		t.Fatalf("the keys are %x, want %x", keys, sorted)
	}
	from := genKey.Draw(t, "from")
	var first []uint32
	m.m.Ascend(from, func(k uint32, _ int) bool { first = append(first, k); return len(first) < 2 })
	i, _ := slices.BinarySearch(sorted, from)
	if rest := sorted[i:]; !slices.Equal(first, rest[:min(2, len(rest))]) {
		t.Fatalf("from %x come %x, want %x", from, first, rest)
	}
	if len(m.wanted) == 0 && m.m.root != nil {
		t.Fatal("an empty map has nodes")
	}
}

func TestMapIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := []model{{new(Map[uint32, int]), map[uint32]int{}}}
		pick := func(t *rapid.T) model { return all[rapid.IntRange(0, len(all)-1).Draw(t, "map")] }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				m, k, v := pick(t), genKey.Draw(t, "key"), rapid.IntRange(1, 9).Draw(t, "value")
				old, replaced := m.m.Set(k, v)
				if was, had := m.wanted[k]; old != was || replaced != had {
					t.Fatalf("Set says %d, %v; it was %d, %v", old, replaced, was, had)
				}
				m.wanted[k] = v
			},
			"delete": func(t *rapid.T) {
				m, k := pick(t), genKey.Draw(t, "key")
				old, deleted := m.m.Delete(k)
				if was, had := m.wanted[k]; old != was || deleted != had {
					t.Fatalf("Delete says %d, %v; it was %d, %v", old, deleted, was, had)
				}
				delete(m.wanted, k)
			},
			"change": func(t *rapid.T) {
				m, k, v := pick(t), genKey.Draw(t, "key"), rapid.IntRange(1, 9).Draw(t, "value")
				was, had := m.wanted[k]
				at := m.m.Change(k)
				if (at != nil) != had || had && *at != was {
					t.Fatalf("Change says %v; it is %d, %v", at, was, had)
				}
				if had {
					*at, m.wanted[k] = v, v
				}
			},
			"get": func(t *rapid.T) {
				m, k := pick(t), genKey.Draw(t, "key")
				v, ok := m.m.Get(k)
				if was, had := m.wanted[k]; v != was || ok != had || m.m.Has(k) != had {
					t.Fatalf("Get says %d, %v, Has %v; it is %d, %v", v, ok, m.m.Has(k), was, had)
				}
			},
			"copy": func(t *rapid.T) {
				if len(all) < 4 {
					m := pick(t)
					all = append(all, model{m.m.Copy(), maps.Clone(m.wanted)})
				}
			},
			"": func(t *rapid.T) {
				for _, m := range all {
					m.check(t)
				}
			},
		})
	})
}

// Keys of 16 bits end where they end.
func TestShortKeys(t *testing.T) {
	var m Map[uint16, string]
	m.Set(0xffff, "last")
	m.Set(1, "first")
	var got []string
	m.Scan(func(_ uint16, v string) bool { got = append(got, v); return true })
	if !slices.Equal(got, []string{"first", "last"}) {
		t.Fatal(got)
	}
}

// shortModel is a Short and what it should hold.
type shortModel struct {
	m      *Short[int]
	wanted map[uint16]int
}

func TestShortIsAMap(t *testing.T) {
	genShort := rapid.OneOf(rapid.Uint16Range(0, 3), rapid.Uint16Range(254, 257), rapid.Uint16Range(0xfffe, 0xffff))
	rapid.Check(t, func(t *rapid.T) {
		all := []shortModel{{new(Short[int]), map[uint16]int{}}}
		pick := func(t *rapid.T) shortModel { return all[rapid.IntRange(0, len(all)-1).Draw(t, "map")] }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				m, k, v := pick(t), genShort.Draw(t, "key"), rapid.IntRange(1, 9).Draw(t, "value")
				_, had := m.wanted[k]
				if m.m.Set(k, v) != had {
					t.Fatalf("Set says %v; it was %v", !had, had)
				}
				m.wanted[k] = v
			},
			"delete": func(t *rapid.T) {
				m, k := pick(t), genShort.Draw(t, "key")
				_, had := m.wanted[k]
				if m.m.Delete(k) != had {
					t.Fatalf("Delete says %v; it was %v", !had, had)
				}
				delete(m.wanted, k)
			},
			"copy": func(t *rapid.T) {
				if len(all) < 4 {
					m := pick(t)
					all = append(all, shortModel{m.m.Copy(), maps.Clone(m.wanted)})
				}
			},
			"": func(t *rapid.T) {
				for _, m := range all {
					k := genShort.Draw(t, "key")
					v, ok := m.m.Get(k)
					if was, had := m.wanted[k]; v != was || ok != had || m.m.Has(k) != had || m.m.Len() != len(m.wanted) {
						t.Fatalf("Get says %d, %v, Has %v, Len %d; it is %v", v, ok, m.m.Has(k), m.m.Len(), m.wanted)
					}
				}
			},
		})
	})
}

func BenchmarkSet(b *testing.B) {
	for b.Loop() {
		var m Map[uint32, *int]
		for k := range uint32(20_000) {
			m.Set(k%16<<16|k/16, nil)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20_000, "ns/key")
}
