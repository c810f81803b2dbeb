package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// distributionFolders are where iproute2 installs its tables, by distribution of Linux.
var distributionFolders = []string{"/usr/lib/tc", "/usr/lib64/tc", "/usr/lib/*/tc"}

// errNoTable is a name that iproute2 has no table for.
var errNoTable = errors.New("no such table")

// maxDistribution is NETEM_DIST_MAX: how many values the kernel takes.
const maxDistribution = 16384

// appendDistribution appends the table with a name, which tc(8) reads from NAME.dist: numbers
// of 16 bits, with comments. No name is no table.
func appendDistribution(b []byte, typ uint16, name string) ([]byte, error) {
	if name == "" {
		return b, nil
	}
	text, err := readDistribution(name)
	if err != nil {
		return nil, fmt.Errorf("reading distribution %s: %w", name, err)
	}
	var table []byte
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			v, err := strconv.ParseInt(word, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("reading distribution %s: %w", name, err)
			}
			table = native.AppendUint16(table, uint16(v))
		}
	}
	if len(table) == 0 || len(table) > 2*maxDistribution {
		return nil, fmt.Errorf("reading distribution %s: %d values, want 1 to %d", name, len(table)/2, maxDistribution)
	}
	return appendBytes(b, typ, table), nil
}

func readDistribution(name string) ([]byte, error) {
	folders := distributionFolders
	if given := os.Getenv("TC_LIB_DIR"); given != "" {
		folders = []string{given}
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, filepath.Base(name)+".dist"))
		if err == nil && len(files) > 0 {
			return os.ReadFile(files[0])
		}
	}
	return nil, errNoTable
}
