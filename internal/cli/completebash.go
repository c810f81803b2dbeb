package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// bashPatches are what cobra's script for bash lacks for values with blanks, as names of circuits have: bash types what
// several have in common, so that they are escaped as one alone is, unless they are only listed; and a word whose
// quotes are open is asked for with its quotes closed, and nothing in it is escaped but what means something in there.
var bashPatches = []struct{ before, after string }{{
	`    # Use eval to handle any environment variables and such
`, `    quote=""
    if [[ ${cur:0:1} == [\"\'] ]]; then
        quote=${cur:0:1}
        cur=${cur:1}
        requestComp+=${quote}
    fi
    # Use eval to handle any environment variables and such
`}, {
	`        # First, escape the completions to handle special characters
`, `        if [[ -n ${quote} ]]; then
            local value
            for value in "${completions[@]}"; do
                if [[ ${quote} == \" ]]; then
                    value=${value//\\/\\\\}
                    value=${value//\"/\\\"}
                    value=${value//\$/\\\$}
                    value=${value//\` + "`/\\\\\\`" + `}
                elif [[ ${value} == *\'* ]]; then
                    continue
                fi
                [[ ${value} == "${cur}"* ]] && COMPREPLY+=("${value}")
            done
            cur="" # there are no word breaks in quotes
            return 0
        fi
        # First, escape the completions to handle special characters
`}, {
	`        if (( ${#COMPREPLY[@]} == 1 )); then
            COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]}")
        fi
`, `        if (( ${#COMPREPLY[@]} == 1 || ${#COMPREPLY[@]} > 1 && COMP_TYPE != 63 )); then
            IFS=$'\n' read -ra COMPREPLY -d '' < <(printf "%q\n" "${COMPREPLY[@]}")
        fi
`}, {
	`    local out directive
`, `    local out directive quote
`}}

// writeBash writes the script that completes root's commands in bash.
func writeBash(root *cobra.Command, w io.Writer, descriptions bool) error {
	var made bytes.Buffer
	if err := root.GenBashCompletionV2(&made, descriptions); err != nil {
		return err
	}
	script := made.String()
	for _, p := range bashPatches {
		if strings.Count(script, p.before) != 1 {
			return fmt.Errorf("the script for bash isn't the known one: it lacks %q", p.before)
		}
		script = strings.Replace(script, p.before, p.after, 1)
	}
	_, err := io.WriteString(w, script)
	return err
}
