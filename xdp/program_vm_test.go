package xdp

import (
	"testing"

	"lqosd/internal/testenv"
)

// TestProgramsOnLinux61 has the verifier of the oldest kernel that we run on take the programs, and its interpreter run them.
func TestProgramsOnLinux61(t *testing.T) {
	testenv.InVM(t, func(t *testing.T) {
		t.Run("shapes", TestShapes)
		t.Run("truncated", func(t *testing.T) {
			testTruncated(t, newRigWithSubscriber(t), []shape{shapeNamed("QinQ, PPPoE, IPv6"), shapeNamed("VLAN, IPv4")})
		})
		t.Run("unknown", TestUnknown)
		t.Run("cache", TestCache)
		t.Run("circuits", TestCircuitCounters)
		t.Run("prefixes", TestPrefixesOfBothKinds)
		t.Run("nested", TestNestedPrefixes)
		t.Run("stick", TestStickShapes)
		t.Run("stick aside", TestStickAside)
		t.Run("stick, tag outside", TestStickTagOutsideOfTheData)
		t.Run("queue", TestQueue)
		t.Run("redirect", TestRedirect)
	})
}
