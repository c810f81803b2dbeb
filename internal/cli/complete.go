package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Values gives what finds the words for a Value, in the time that ctx leaves; args are the arguments before. nil: there are none.
type Values func(what Value) func(ctx context.Context, args []string) []string

// Value is something that a shell completes.
type Value struct {
	Command, Flag string // Flag is "" for an argument
	Placeholder   string // what the usage calls it: FILE
}

// CompletionTime is how long a shell waits for values. What is found by then it shows. Tests have more patience.
var CompletionTime = time.Second

// mostValues is how many values are shown; of more the user is asked to type another letter.
const mostValues = 1000

// Complete makes the shells' completion know the values of all flags and arguments of the commands below root: files, directories, words
// that the usage lists, and those of values.
func Complete(root *cobra.Command, values Values) {
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.NoOptDefVal == "" { // it takes a value
				_ = cmd.RegisterFlagCompletionFunc(f.Name, completeFlag(cmd, f, values)) // fails for what has its own
			}
		})
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = completeArgs(cmd, values)
		}
	}
}

// describe takes the quotes out of the usages of flags, which a shell would show: `FORM` tells cobra's help what the value is called.
func describe(cmd *cobra.Command) {
	unquote := func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) }
	cmd.LocalFlags().VisitAll(unquote)
	for _, sub := range cmd.Commands() {
		describe(sub)
	}
}

func completeFlag(cmd *cobra.Command, f *pflag.Flag, values Values) cobra.CompletionFunc {
	name, usage := pflag.UnquoteUsage(f)
	if words := choices(name, usage); len(words) > 0 {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	}
	return complete(Value{cmd.Name(), f.Name, name}, values)
}

// choice is a word that a usage may list.
var choice = regexp.MustCompile(`^[a-z][a-z-]*$`)

// choices are the words that a usage lists: "durable|applied", "FORM: commands or state", "FORMAT: text, json".
func choices(name, usage string) []string {
	usage, _, _ = strings.Cut(usage, " (") // a default
	list := usage[strings.LastIndex(usage, ": ")+1:]
	if strings.Contains(name, "|") {
		list = strings.ReplaceAll(name, "|", ", ")
	}
	words := strings.Split(strings.ReplaceAll(strings.TrimSpace(list), " or ", ", "), ", ")
	for _, w := range words {
		if !choice.MatchString(w) {
			return nil
		}
	}
	return words
}

// completeArgs completes the arguments that the usage names: "copy LOG -o DIR", "whois LOG HANDLE|NAME".
func completeArgs(cmd *cobra.Command, values Values) cobra.CompletionFunc {
	var each []cobra.CompletionFunc
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if strings.ToUpper(word) != word || strings.HasPrefix(word, "-") || strings.HasPrefix(word, "(") {
			break
		}
		each = append(each, complete(Value{Command: cmd.Name(), Placeholder: word}, values))
	}
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return each[len(args)](cmd, args, typed)
	}
}

func complete(what Value, values Values) cobra.CompletionFunc {
	if words, found := strings.CutSuffix(what.Placeholder, "|FILE"); found {
		return cobra.FixedCompletions(strings.Split(words, "|"), cobra.ShellCompDirectiveDefault)
	}
	switch strings.TrimSuffix(what.Placeholder, "|-") {
	case "FILE", "PATH":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case "DIR":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case "LOG":
		return completeLog
	}
	if values == nil || values(what) == nil {
		return cobra.NoFileCompletions
	}
	find := values(what)
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		patience, cancel := context.WithTimeout(cmd.Context(), 2*CompletionTime) // for what can't be told to end
		defer cancel()
		ctx, end := context.WithTimeout(patience, CompletionTime)
		defer end()
		all, _ := Interruptible(patience, func() ([]string, error) { return find(ctx, args), nil })
		var like []cobra.Completion
		for _, v := range all {
			if strings.HasPrefix(v, typed) {
				like = append(like, v)
			}
		}
		if len(like) > mostValues {
			like = cobra.AppendActiveHelp(nil, fmt.Sprintf("%d begin like that: type more", len(like)))
		}
		return like, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeLog completes directories, and sockets behind unix:.
func completeLog(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	path, remote := strings.CutPrefix(typed, "unix:")
	if !remote {
		if typed != "" && strings.HasPrefix("unix:", typed) {
			return []cobra.Completion{"unix:"}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	found, _ := filepath.Glob(path + "*")
	list := make([]cobra.Completion, len(found))
	for i, f := range found {
		list[i] = "unix:" + f
	}
	return list, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
