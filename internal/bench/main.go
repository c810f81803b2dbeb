// Command bench measures lqosd against peers and limits, in the same run: each row of its table is ours, the other, and the ratio of
// the two. Absolute times are those of one machine on one day; the ratios are what to keep. make bench runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	var f flags
	flag.StringVar(&f.bin, "bin", "bin", "`DIR` of lqosd, bakery-replay and the peers")
	flag.StringVar(&f.data, "testdata", "testdata/golden", "`DIR` of the recordings")
	flag.StringVar(&f.python, "python", "bus/python", "`DIR` of the Python client")
	flag.StringVar(&f.only, "rows", ".", "`REGEXP` of the rows to measure, by their keys")
	flag.StringVar(&f.out, "o", "", "`FILE` to write the table to, as JSON")
	flag.StringVar(&f.compare, "compare", "", "`FILE` of an earlier run: fail where a ratio is worse by more than half")
	flag.BoolVar(&f.smoke, "smoke", false, "small sizes: seconds instead of minutes")
	flag.BoolVar(&f.growth, "growth", false, "measure also at other sizes: how the costs grow")
	flag.IntVar(&f.experiment, "experiment", 0, "with so many `CLASSES`, find out what creating them costs a kernel, instead of the rows")
	flag.StringVar(&f.profile, "cpuprofile", "", "`FILE` for a profile of what this process does")
	flag.Parse()
	if os.Geteuid() == 0 && os.Getenv(inNamespace) == "" {
		os.Exit(again())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

type flags struct {
	bin, data, python, only, out, compare, profile string
	smoke, growth                                  bool
	experiment                                     int
}

func run(ctx context.Context, f flags, w io.Writer) error {
	list, err := f.chosen()
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	var earlier *table
	if f.compare != "" {
		if earlier, err = readTable(f.compare); err != nil {
			return err
		}
		if earlier.Smoke != f.smoke {
			return fmt.Errorf("-compare %s: small and full sizes can't be compared: one of the runs has -smoke, one hasn't", f.compare)
		}
	}
	if f.out != "" {
		if err := writable(f.out); err != nil {
			return fmt.Errorf("-o: %w", err)
		}
	}
	if f.profile != "" {
		stop, err := profileInto(f.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	s, err := newStand(f)
	if err != nil {
		return err
	}
	defer s.remove()
	t := newTable(f.smoke)
	if t.Sync, err = s.syncTime(); err != nil {
		return err
	}
	worse, err := t.fill(ctx, s, w, list, earlier)
	if len(t.Rows) > 0 { // those before one that failed took minutes, too
		err = errors.Join(err, t.write(w))
		if f.out != "" {
			err = errors.Join(err, t.save(f.out))
		}
	}
	if err == nil && len(worse) > 0 {
		return fmt.Errorf("worse than in %s by more than half:\n%s", f.compare, strings.Join(worse, "\n"))
	}
	return err
}

// chosen are the rows that -rows names.
func (f flags) chosen() ([]row, error) {
	only, err := regexp.Compile(f.only)
	if err != nil {
		return nil, err
	}
	all := rows
	if f.experiment > 0 {
		all = experimentRows(f.experiment)
	}
	var list []row
	keys := make([]string, len(all))
	for i, r := range all {
		if keys[i] = r.key; only.MatchString(r.key) {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no row is called %q: there are %s", f.only, strings.Join(keys, ", "))
	}
	return list, nil
}

// fill measures rows, tells each as it comes, and gives what got worse than earlier, which may be nil: then, and again when the others were measured.
func (t *table) fill(ctx context.Context, s *stand, w io.Writer, list []row, earlier *table) (worse []string, err error) {
	late := map[int]row{}
	for _, r := range list {
		if r.root && os.Geteuid() != 0 {
			if _, err := fmt.Fprintf(w, "%s: needs root\n", r.key); err != nil {
				return nil, err
			}
			continue
		}
		m, bad, err := t.one(ctx, s, w, r, earlier)
		if err != nil {
			return nil, err
		}
		if bad != "" {
			late[len(t.Rows)] = r
		}
		t.Rows = append(t.Rows, m)
		if len(r.sizes) == 0 || !s.growth {
			continue
		}
		g, err := r.grow(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("growth of %s: %w", r.key, err)
		}
		t.Growth = append(t.Growth, g)
		if _, err := fmt.Fprintln(w, g); err != nil {
			return nil, err
		}
	}
	for _, i := range slices.Sorted(maps.Keys(late)) {
		m, bad, err := t.one(ctx, s, w, late[i], earlier)
		if err != nil {
			return nil, err
		}
		if t.Rows[i] = m; bad != "" {
			worse = append(worse, bad)
		}
	}
	return worse, nil
}

// one measures a row and tells it: all take minutes.
func (t *table) one(ctx context.Context, s *stand, w io.Writer, r row, earlier *table) (m result, worse string, err error) {
	m, worse, err = measureAgainst(ctx, s, r, earlier, t.Sync)
	if err != nil {
		return m, "", fmt.Errorf("%s: %w", r.key, err)
	}
	told := m.String()
	if _, _, why := earlier.earlier(m, t.Sync); why != "" {
		told += " | " + why
	}
	_, err = fmt.Fprintln(w, told)
	return m, worse, err
}

// attempts is how often a row is measured that seems to have got worse: a machine that does something else meanwhile isn't a change of
// the product.
const attempts = 4

// measureAgainst measures a row, and says in worse what got worse than earlier by more than half; earlier may be nil.
func measureAgainst(ctx context.Context, s *stand, r row, earlier *table, sync float64) (m result, worse string, err error) {
	for range attempts {
		if m, err = r.measure(ctx, s); err != nil {
			return m, "", err
		}
		then, ok, _ := earlier.earlier(m, sync)
		if !ok {
			return m, "", nil
		}
		if worse = m.worseThan(then); worse == "" {
			break
		}
	}
	return m, worse, nil
}

// inNamespace is set in the environment of the run that has namespaces of its own.
const inNamespace = "LQOSD_BENCH_IN_NAMESPACE"

// again runs this program with the same arguments in a network namespace that nobody else sees, and returns its exit code.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	signals := make(chan os.Signal, 1) // if this process ended, that one would be killed before it has tidied up
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	go func() {
		for sig := range signals {
			_ = cmd.Process.Signal(sig)
		}
	}()
	_ = cmd.Wait() // its exit code tells
	return cmd.ProcessState.ExitCode()
}

// profileInto profiles this process until stop is called.
func profileInto(name string) (stop func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
