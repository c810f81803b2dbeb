package eventlog

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"lqosd/internal/powercut"
	"lqosd/internal/testenv"
)

// memoryDirs counts them.
var memoryDirs atomic.Int64

// memoryDir is a directory of the test in memory, where this host has one.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir := fmt.Sprintf("/dev/shm/lqosd-test-%d-%d", os.Getpid(), memoryDirs.Add(1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// journalOf lets a writer write on a disk, and gives what was done to that.
func journalOf(t *testing.T, role string) []powercut.Event {
	t.Helper()
	dir := t.TempDir()
	disk, err := powercut.Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = child(t, role, dir).Run()
	if err := errors.Join(err, disk.Unmount()); err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	return disk.Events()
}

// cutTest cuts the power of one writer many times.
type cutTest struct {
	role   string
	events []powercut.Event
	lies   powercut.Lies
	seed   uint64
	dir    string // for images
}

// cutFault is an image on which something is wrong.
type cutFault struct {
	at    int
	seed  uint64
	err   error
	image string
}

func (f cutFault) Error() string {
	return fmt.Sprintf("power cut after event %d, image seed %d, kept in %s: %v", f.at, f.seed, f.image, f.err)
}

// run makes n images of random moments, on two goroutines, and returns the first fault of each, if they found any.
func (c cutTest) run(n int) (found []cutFault, images int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var made atomic.Int64
	for half := range 2 {
		wg.Go(func() {
			if f := c.half(half, n/2, &made); f != nil {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, *f)
			}
		})
	}
	wg.Wait()
	return found, int(made.Load())
}

func (c cutTest) half(half, n int, made *atomic.Int64) *cutFault {
	dice := rand.New(rand.NewPCG(c.seed, uint64(half)))
	moments := c.moments(dice, n)
	cutter := powercut.NewCutter(c.events, c.lies)
	for i, at := range moments {
		cutter.Advance(at)
		seed := dice.Uint64()
		image := filepath.Join(c.dir, fmt.Sprint(half, "-", i))
		err := os.Mkdir(image, 0o700)
		if err == nil {
			err = cutter.Image(rand.New(rand.NewPCG(seed, 0))).Save(image)
		}
		if err == nil {
			var t told
			if t, err = listen(c.events[:at]); err == nil {
				err = t.check(image)
			}
		}
		made.Add(1)
		if err != nil {
			return &cutFault{at, seed, err, image}
		}
		if err := os.RemoveAll(image); err != nil {
			return &cutFault{at, seed, err, image}
		}
	}
	return nil
}

// moments are n numbers of events, ascending, since a Cutter goes forward only. Every third is one at which directories change,
// which is rare and hard.
func (c cutTest) moments(dice *rand.Rand, n int) []int {
	var hard []int
	for i, e := range c.events {
		if e.Kind >= powercut.Create && e.Kind <= powercut.Remove {
			hard = append(hard, i+1, i+2)
		}
	}
	all := make([]int, n)
	for i := range all {
		if all[i] = dice.IntN(len(c.events) + 1); i%3 == 0 {
			all[i] = min(hard[dice.IntN(len(hard))], len(c.events))
		}
	}
	slices.Sort(all)
	return all
}

// TestTrialPowerCuts cuts the power of a writer again and again, and opens what may be left by the letter of POSIX: sectors
// torn, writes and renamings lost or out of order. Every record that was acked is there, what is beyond is a prefix of
// what was sent, chain and copies are whole.
func TestTrialPowerCuts(t *testing.T) {
	testenv.InNetns(t, powerCuts) // whose mounts no other process takes along
}

func powerCuts(t *testing.T) {
	testenv.Need(t, testenv.FUSE)
	names := slices.Sorted(maps.Keys(cutWriters))
	each := testenv.Tries(5008, 50_000) / len(names) // each an even number
	rooms := 0
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			c := cutTest{role: name, events: journalOf(t, name), seed: testenv.Seed(t) + uint64(i), dir: memoryDir(t)}
			found, images := c.run(each)
			for _, f := range found {
				t.Error(f)
			}
			t.Logf("figure: power cuts, %s | %d images from %d events | %d faults", name, images, len(c.events), len(found))
			c.control(t)
			rooms += c.rooms()
		})
	}
	if rooms == 0 {
		t.Error("no writer made room for what it was going to write")
	}
}

// rooms is how often room was made.
func (c cutTest) rooms() (n int) {
	for _, e := range c.events {
		if e.Kind == powercut.Write && len(e.Data) >= smallRoom.pages*4096 {
			n++
		}
	}
	return n
}

// control cuts the power where it must do harm: a test that doesn't see it sees nothing.
func (c cutTest) control(t *testing.T) {
	early := c
	early.events = journalOf(t, c.role+", early")
	for name, d := range map[string]cutTest{
		"fsync of files ignored":       {role: c.role, events: c.events, lies: powercut.Lies{Files: true}},
		"fsync of directories ignored": {role: c.role, events: c.events, lies: powercut.Lies{Directories: true}},
		"acks ahead of the commit":     early,
	} {
		d.seed, d.dir = c.seed, memoryDir(t)
		made := 0
		for ; made < 4000; made += 50 {
			found, _ := d.run(50)
			if len(found) > 0 {
				t.Logf("figure: power cuts, %s, control: %s | %d images | found out", c.role, name, made+50)
				t.Log(found[0])
				break
			}
			d.seed++
			if err := errors.Join(os.RemoveAll(d.dir), os.Mkdir(d.dir, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
		if made == 4000 {
			t.Errorf("%s: no fault was found in %d images", name, made)
		}
	}
}
