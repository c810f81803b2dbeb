package eventlog

import (
	"sort"
	"sync"
)

// ring keeps the newest frames in memory, so that a reader that keeps up never touches the file.
type ring struct {
	mu     sync.RWMutex
	frames []*frame // without gaps, newest last
	bytes  int
	limit  int // in bytes; when it is exceeded the oldest frames go, but one always stays
}

func (r *ring) push(frames []*frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, frames...)
	for _, f := range frames {
		r.bytes += f.memory()
	}
	drop := 0
	for r.bytes > r.limit && drop < len(r.frames)-1 {
		r.bytes -= r.frames[drop].memory()
		r.frames[drop] = nil
		drop++
	}
	r.frames = r.frames[drop:]
}

// from returns frames that hold seq and what follows, up to about most bytes of them; none if seq is too old or too new.
func (r *ring) from(seq Seq, most int) []*frame {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.frames) == 0 || seq < r.frames[0].first {
		return nil
	}
	i := sort.Search(len(r.frames), func(i int) bool { return r.frames[i].last() >= seq })
	j := i
	for n := 0; j < len(r.frames) && n < most; j++ {
		n += r.frames[j].memory()
	}
	return append([]*frame(nil), r.frames[i:j]...)
}
