package bakery

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"lqosd/eventlog"
)

// hollow is an error that wraps nothing, though it could; hollows could wrap several.
type (
	hollow  struct{}
	hollows struct{}
)

func (hollow) Error() string    { return "hollow" }
func (hollow) Unwrap() error    { return nil }
func (hollows) Error() string   { return "hollows" }
func (hollows) Unwrap() []error { return nil }

// TestRoot: the reason of a failure is found in whatever it is wrapped.
func TestRoot(t *testing.T) {
	reason := errors.New("no space left on device")
	for _, want := range []error{reason, hollow{}, hollows{}} {
		err := fmt.Errorf("committing: %w: %w", eventlog.ErrUnknownOutcome, &fs.PathError{Op: "write", Path: "x", Err: want})
		if got := root(err); got != want {
			t.Errorf("the root of %v is %v", err, got)
		}
	}
}
