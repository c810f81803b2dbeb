package bakery

// memory remembers what texts mean. The same texts often come again in the same order, as those of a refresh do: what came
// after the last one is looked at before any other.
type memory[T any] struct {
	longest, most int // texts that are longer aren't remembered, nor are more texts
	known         map[string]*remembered[T]
	last          *remembered[T] // that was asked for; nil: none
	missed        int            // texts that found no room
}

type remembered[T any] struct {
	text    string
	meaning T
	next    *remembered[T] // what was asked for after it; nil: nothing yet
}

// find is what a text means; nil if that isn't known.
func (m *memory[T]) find(text []byte) *T {
	if m.last != nil && m.last.next != nil && m.last.next.text == string(text) {
		m.last = m.last.next
		return &m.last.meaning
	}
	r, ok := m.known[string(text)]
	if !ok {
		return nil
	}
	m.follow(r)
	return &r.meaning
}

func (m *memory[T]) follow(r *remembered[T]) {
	if m.last != nil {
		m.last.next = r
	}
	m.last = r
}

// learn is room for what a text means that isn't known.
func (m *memory[T]) learn(text []byte) *T {
	r := new(remembered[T])
	if len(text) > m.longest || !m.hasRoom() {
		return &r.meaning
	}
	r.text = string(text)
	m.known[r.text] = r
	m.follow(r)
	return &r.meaning
}

// hasRoom makes room by forgetting everything, but only after so many texts found none that what is known can't be of much
// use: a network that is too large to be remembered comes again as well, and part of it is better than nothing.
func (m *memory[T]) hasRoom() bool {
	if len(m.known) < m.most {
		if m.known == nil {
			m.known = map[string]*remembered[T]{}
		}
		return true
	}
	if m.missed++; m.missed <= 4*m.most {
		return false
	}
	clear(m.known)
	m.last, m.missed = nil, 0
	return true
}
