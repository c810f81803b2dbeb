package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"

	"lqosd/internal/scripts"
	"lqosd/internal/testenv"
)

// ciFolder has the workflows of docs/ci.md, and the scripts that they call.
const ciFolder = "../../docs/ci"

// TestPlanInCI plays what the workflows of docs/ci.md do, as a user without rights, with the programs as they are installed. Beside the
// commands of testscript there are:
//
//	exits CODE PROGRAM ARG…   run a program that must end with that exit code, as root's script by nobody
//	json FILE PATH VALUE      compare a value in a JSON document with VALUE, a regexp
//
// Every script finds a checkout of lqosd with bin, docs/ci and bus/python.
func TestPlanInCI(t *testing.T) {
	testenv.Need(t, testenv.Python)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/ci",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpCI,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exitsAsNobody, "json": scripts.JSON},
	})
}

const nobody = 65534

func setUpCI(env *testscript.Env) error {
	checkout := filepath.Join(env.WorkDir, "lqosd")
	for from, to := range map[string]string{ciFolder: "docs/ci", "../../bus/python": "bus/python", os.Getenv(programsEnv): "bin"} {
		if err := os.CopyFS(filepath.Join(checkout, to), os.DirFS(from)); err != nil {
			return err
		}
	}
	env.Setenv("PATH", filepath.Join(checkout, "bin")+":"+env.Getenv("PATH"))
	env.Setenv("LQOSD_WAIT", "300") // this machine may be busy
	if os.Geteuid() != 0 {
		return nil
	}
	// Whoever has no rights has to get here, and may write here.
	for dir := env.WorkDir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return filepath.WalkDir(env.WorkDir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
}

// exitsAsNobody is the command exits, which takes root's rights away.
func exitsAsNobody(ts *testscript.TestScript, neg bool, args []string) {
	scripts.Usage(ts, neg, len(args) >= 2, "exits CODE PROGRAM ARG…")
	if os.Geteuid() == 0 {
		id := strconv.Itoa(nobody)
		args = append([]string{args[0], "setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--"}, args[1:]...)
	}
	scripts.Exits(ts, neg, args)
}

// pinned is an action by its commit, and a word for people.
var pinned = regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40}$`)

// TestWorkflows: the workflows of docs/ci.md are YAML, they call the scripts that TestPlanInCI plays, and what they take from others is pinned.
func TestWorkflows(t *testing.T) {
	for _, name := range []string{"github.yml", "gitlab.yml"} {
		text, err := os.ReadFile(filepath.Join(ciFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		var document map[string]any
		if err := yaml.Unmarshal(text, &document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, script := range []string{"plan.sh", "comment.sh"} {
			if !strings.Contains(string(text), " lqosd/docs/ci/"+script+" ") {
				t.Errorf("%s doesn't call %s", name, script)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(ciFolder, "github.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Steps []struct {
				Uses, Run string
			}
		}
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatal(err)
	}
	if workflow.Permissions["contents"] != "read" || len(workflow.Permissions) != 2 {
		t.Errorf("its permissions are %v", workflow.Permissions)
	}
	for _, step := range workflow.Jobs["plan"].Steps {
		switch {
		case step.Uses == "" && step.Run == "":
			t.Error("a step does nothing")
		case step.Uses != "" && !pinned.MatchString(step.Uses):
			t.Errorf("%s isn't pinned to a commit", step.Uses)
		case strings.Contains(step.Run, "${{"):
			t.Errorf("%q lets who opens a pull request write shell", step.Run)
		}
	}
}

// TestCIScripts: sh reads the scripts.
func TestCIScripts(t *testing.T) {
	for _, name := range []string{"plan.sh", "comment.sh"} {
		if out, err := exec.Command("sh", "-n", filepath.Join(ciFolder, name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if info, err := os.Stat(filepath.Join(ciFolder, name)); err != nil || info.Mode()&0o111 != 0o111 {
			t.Errorf("%s can't be executed: %v", name, err)
		}
	}
}
