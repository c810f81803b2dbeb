package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// packageFolder is the folder of the package whose tests these are: go test starts a test there.
var packageFolder, packageFolderErr = os.Getwd()

// vmBinary is a test binary of this package that runs in a machine. ThreadSanitizer doesn't, as it wants more address
// space than there is: a binary with it gets a sibling without it, beside itself, where go test removes both.
var vmBinary = sync.OnceValues(func() (string, error) {
	if packageFolderErr != nil {
		return "", packageFolderErr
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the test binary: %w", err)
	}
	if !raceDetector {
		return self, nil
	}
	binary := self + ".vm"
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, ".") // go test puts its own toolchain first in PATH
	cmd.Dir = packageFolder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+packageFolder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the tests without the race detector: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return binary, nil
})
