package bakery

import (
	"errors"
	"fmt"
	"strings"
)

// How many refusals are kept, and how many bytes of them.
const (
	maxRefused     = 100_000
	maxRefusedText = 8 << 20
)

// refusals are the reasons why items of a batch are refused. They take little memory,
// however many a client goes on to send.
type refusals struct {
	kept  []error
	size  int // bytes of the texts of those that are kept
	total int
}

func (r *refusals) add(err error) {
	r.total++
	if len(r.kept) == maxRefused || r.size >= maxRefusedText {
		return
	}
	if room, text := maxRefusedText-r.size, err.Error(); len(text) > room {
		err = errors.New(strings.ToValidUTF8(text[:room], ""))
		r.size = maxRefusedText // the last
	} else {
		r.size += len(text)
	}
	r.kept = append(r.kept, err)
}

// err is one error that names every item, as far as there is room; nil: none is refused.
func (r *refusals) err() error {
	if more := r.total - len(r.kept); more > 0 {
		return errors.Join(append(r.kept[:len(r.kept):len(r.kept)], fmt.Errorf("and %d more", more))...)
	}
	return errors.Join(r.kept...)
}
