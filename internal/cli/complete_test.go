package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestChoices(t *testing.T) {
	for _, tc := range []struct{ name, usage, want string }{
		{"durable|applied", "then wait until all is durable|applied", "durable applied"},
		{"FORM", "FORM: commands or state", "commands state"},
		{"MODE", "MODE: file or apply (default from the configuration)", "file apply"},
		{"FORMAT", "FORMAT of the log on stderr: text or json", "text json"},
		{"FORMAT", "FORMAT: text, json, github", "text json github"},
		{"SEQ|TIME", "up to this record or time, SEQ|TIME", ""},
		{"KIND", "only this KIND: MqSetup, MapIpToFlow, …", ""},
		{"TIME", "drop what is older than TIME: 720h, 30d, 2026-10-01", ""},
		{"PATH", "PATH of the daemon's bus", ""},
		{"int", "", ""},
	} {
		if got := strings.Join(choices(tc.name, tc.usage), " "); got != tc.want {
			t.Errorf("%s, %q: %q, want %q", tc.name, tc.usage, got, tc.want)
		}
	}
}

// TestCompletionEnds: what comes too late isn't waited for, what comes just in time is shown, and of what is too much nothing.
func TestCompletionEnds(t *testing.T) {
	old := CompletionTime
	defer func() { CompletionTime = old }()
	never := make(chan struct{})
	defer close(never)
	many := make([]string, mostValues+1)
	for i := range many {
		many[i] = fmt.Sprint("v", i)
	}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	for _, tc := range []struct {
		name string
		time time.Duration
		find func(ctx context.Context, args []string) []string
		want int
	}{
		{"never", time.Millisecond, func(context.Context, []string) []string { <-never; return nil }, 0},
		{"when the time is over", 20 * time.Second, func(ctx context.Context, _ []string) []string {
			by, _ := ctx.Deadline()
			if left := time.Until(by); left > 20*time.Second {
				t.Errorf("it has %s", left)
			}
			return []string{"v", "w"}
		}, 1},
		{"many", time.Minute, func(context.Context, []string) []string { return many }, 1}, // the advice
		{"just enough", time.Minute, func(context.Context, []string) []string { return many[1:] }, mostValues},
	} {
		CompletionTime = tc.time
		got, directive := complete(Value{}, func(Value) func(context.Context, []string) []string { return tc.find })(cmd, nil, "v")
		if len(got) != tc.want || directive != cobra.ShellCompDirectiveNoFileComp || slices.Contains(got, "w") {
			t.Errorf("%s: %d values, %v", tc.name, len(got), directive)
		}
	}
}
