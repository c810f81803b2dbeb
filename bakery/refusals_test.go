package bakery_test

import (
	"errors"
	"strings"
	"testing"

	"lqosd/bakery"
)

// TestRefusalsAreBounded: what a client can do wrong in a batch has no end; what is kept of it has.
func TestRefusalsAreBounded(t *testing.T) {
	r := newRig(t, bakery.Setup{DownLink: "eth1", UpLink: "eth0", DownMbps: 1000, UpMbps: 1000, SQM: []string{"cake"}, Queues: 1})
	for _, c := range []struct {
		name, ends string
		wrong      int
		text       string
	}{
		{"many", "item 100000, x\nand 5 more", 100_005, "x"},
		{"long", "ö\nand 2 more", 3, "x" + strings.Repeat("ö", 5<<20)},
	} {
		b, why := bakery.NewBatch(), errors.New(c.text)
		for range c.wrong {
			b.Refuse(why)
		}
		err := r.submit(b.Commit())[0].Err
		if err == nil || len(err.Error()) > 9<<20 || !strings.HasSuffix(err.Error(), c.ends) {
			text := "none"
			if err != nil {
				text = err.Error()
			}
			t.Errorf("%s: the error has %d bytes, the last: %q", c.name, len(text), text[max(len(text)-50, 0):])
		}
	}
}
