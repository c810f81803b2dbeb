package bakery

import (
	"fmt"
	"testing"
)

// TestMemory: what was learned is found, in whatever order, and there are never more texts than allowed; when many found no room
// what was known is forgotten.
func TestMemory(t *testing.T) {
	m := memory[int]{longest: 5, most: 10}
	ask := func(i int) (known bool) {
		text := fmt.Appendf(nil, "%05d", i)
		v := m.find(text)
		if v == nil {
			*m.learn(text) = i
			return false
		}
		if *v != i {
			t.Fatalf("%s means %d", text, *v)
		}
		return true
	}
	for _, i := range []int{1, 2, 3} {
		if ask(i) {
			t.Errorf("%d was known", i)
		}
	}
	for _, i := range []int{1, 2, 3, 1, 3, 2, 2, 1, 2, 3} { // as before, and otherwise
		if !ask(i) {
			t.Errorf("%d wasn't known", i)
		}
	}
	if *m.learn([]byte("too long")) = 1; m.find([]byte("too long")) != nil {
		t.Error("a long text was remembered")
	}
	known := 0
	for range 2 { // more than are remembered: some are
		for i := range 20 {
			if ask(i) {
				known++
			}
		}
	}
	if known != 3+10 || len(m.known) != 10 {
		t.Errorf("%d of 40 were known, %d are", known, len(m.known))
	}
	for i := 100; len(m.known) == 10; i++ {
		if ask(i); i > 1000 {
			t.Fatal("what nobody asks for any more is never forgotten")
		}
	}
	if ask(1) || !ask(1) {
		t.Error("after it forgot it learns no more")
	}
}
