package replay

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"math/bits"
)

// SiteNames are names of sites by the hashes that clients of the second generation make of them.
type SiteNames map[int64]string

// Read adds the sites of a network.json of LibreQoS: names of nodes, each with its own below it as "children".
func (n SiteNames) Read(r io.Reader) error {
	var nodes map[string]networkNode
	if err := json.NewDecoder(r).Decode(&nodes); err != nil {
		return err
	}
	n.add(nodes)
	return nil
}

type networkNode struct {
	Children map[string]networkNode `json:"children"`
}

func (n SiteNames) add(nodes map[string]networkNode) {
	for name, node := range nodes {
		n[siteHash(name)] = name
		n.add(node.Children)
	}
}

// siteHash is the number that a client of the second generation gives a site of this name: SipHash-1-3 of the text
// with the key 0 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"). The name itself it sends only with the
// circuits that sit in the site.
func siteHash(name string) int64 {
	h := sipState{0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573}
	rest := []byte(name)
	for ; len(rest) >= 8; rest = rest[8:] {
		h.add(binary.LittleEndian.Uint64(rest))
	}
	var last [8]byte
	copy(last[:], rest)
	last[7] = byte(len(name))
	h.add(binary.LittleEndian.Uint64(last[:]))
	h.c ^= 0xff
	for range 3 {
		h.round()
	}
	return int64(h.a ^ h.b ^ h.c ^ h.d)
}

// sipState is what SipHash holds between two words.
type sipState struct{ a, b, c, d uint64 }

func (h *sipState) add(word uint64) {
	h.d ^= word
	h.round()
	h.a ^= word
}

func (h *sipState) round() {
	h.a += h.b
	h.b = bits.RotateLeft64(h.b, 13) ^ h.a
	h.a = bits.RotateLeft64(h.a, 32)
	h.c += h.d
	h.d = bits.RotateLeft64(h.d, 16) ^ h.c
	h.a += h.d
	h.d = bits.RotateLeft64(h.d, 21) ^ h.a
	h.c += h.b
	h.b = bits.RotateLeft64(h.b, 17) ^ h.c
	h.c = bits.RotateLeft64(h.c, 32)
}
