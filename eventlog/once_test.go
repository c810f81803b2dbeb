package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"lqosd/internal/powercut"
	"lqosd/internal/testenv"
)

const sectorSize = 512

// cutCommit is the newest commit of a log, which was synced once: the file before and after it.
type cutCommit struct {
	first         Seq // of the segment
	before, after []byte
	sectors       []int // that differ
	kept, all     Seq   // the last seq of either
	cursors       map[Seq]string
}

// bigTx is a transaction whose group is big, with the records from first on.
func bigTx(first Seq) Tx {
	var tx Tx
	for size := 0; size < smallGroup+1000; {
		data := cutData(first + Seq(len(tx.Records)))
		tx.Records = append(tx.Records, data)
		size += len(data)
	}
	return tx
}

// bigCommits makes a log of n big groups, and gives the last commit. prepare, if there is one, does something before each.
func bigCommits(t *testing.T, n int, prepare func(l *Log, i int)) cutCommit {
	t.Helper()
	dir := memoryDir(t)
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20, faults: &faults{room: smallRoom, busy: true}})
	c := cutCommit{cursors: map[Seq]string{}}
	path := ""
	for i := range n {
		if prepare != nil {
			prepare(l, i)
		}
		c.first = l.firsts[len(l.firsts)-1]
		path = l.path(c.first)
		c.before, c.kept = readFile(t, path), c.all
		r, err := l.Append(context.Background(), bigTx(l.LastSeq()+1))
		if err != nil {
			t.Fatal(err)
		}
		c.all = r.Last
		cursor, err := l.Cursor("applied")
		if c.cursors[c.all] = string(cursor); err != nil {
			t.Fatal(err)
		}
	}
	c.after = readFile(t, path)
	mustClose(t, l)
	mustFollow(t, c.before, c.after)
	c.before = append(c.before, make([]byte, max(0, len(c.after)-len(c.before)))...)
	for at := 0; at < len(c.after); at += sectorSize {
		if !bytes.Equal(c.before[at:at+sectorSize], c.after[at:at+sectorSize]) {
			c.sectors = append(c.sectors, at)
		}
	}
	return c
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mustFollow: the files are of one commit and the next, the first of which announced that the second may be synced once.
func mustFollow(t *testing.T, before, after []byte) {
	t.Helper()
	a, _, errA := readBoltMetas(bytes.NewReader(before))
	b, _, errB := readBoltMetas(bytes.NewReader(after))
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if a.txid+1 != b.txid || !a.announced(bytes.NewReader(before)) {
		t.Fatal("the last commit isn't one that the one before it announced")
	}
}

// image is the file with the sectors of the last commit that keep chooses.
func (c cutCommit) image(keep func(i int) bool) []byte {
	b := bytes.Clone(c.before)
	for i, at := range c.sectors {
		if keep(i) {
			copy(b[at:], c.after[at:at+sectorSize])
		}
	}
	return b
}

// check opens the log in an image as the next daemon would, after others have read it: each of them finds all of the last commit or nothing,
// the same, and all before it.
func (c cutCommit) check(dir string, image []byte, o Options) (last Seq, err error) {
	path := filepath.Join(dir, segmentName(c.first))
	if err := os.WriteFile(path, image, 0o600); err != nil {
		return 0, err
	}
	found, err := Verify(context.Background(), dir)
	if err != nil || !found.Clean() {
		return 0, fmt.Errorf("verify: %v, %w", found.Problems, err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		return 0, err
	}
	read := r.Last()
	out := filepath.Join(dir, "salvaged")
	s, err := Salvage(context.Background(), dir, out)
	if err := errors.Join(err, r.Close(), os.RemoveAll(out)); err != nil {
		return 0, fmt.Errorf("salvage: %w", err)
	}
	if got := readBack(path); !bytes.Equal(got, image) {
		return 0, errors.New("who only reads changed the file")
	}
	l, err := Open(dir, o)
	if err != nil {
		return 0, err
	}
	last = l.LastSeq()
	records, err := told{pruned: c.first}.checkRecords(l.Records(0), c.first)
	switch {
	case err != nil:
	case last != c.kept && last != c.all || records != last || read != last || found.Last != last || s.Last != last || len(s.Lost) > 0:
		err = fmt.Errorf("the log ends at %d, its records at %d; read to %d, verified to %d, salvaged to %d (%v); want %d or %d", last, records, read, found.Last, s.Last, s.Lost, c.kept, c.all)
	case (last == c.kept && c.hasMeta(image)) != strings.Contains(strings.Join(l.recovered, "\n"), "dropped the newest commit"):
		err = fmt.Errorf("the log ends at %d, and says %q", last, l.recovered)
	}
	if cursor, cursorErr := l.Cursor("applied"); cursorErr != nil || string(cursor) != c.cursors[last] {
		err = errors.Join(err, fmt.Errorf("with the log ending at %d, the cursor is %q, want %q: %w", last, cursor, c.cursors[last], cursorErr))
	}
	if err == nil { // it goes on, with big groups
		for range 3 {
			_, appendErr := l.Append(context.Background(), bigTx(l.LastSeq()+1))
			err = errors.Join(err, appendErr)
		}
	}
	return last, errors.Join(err, l.Close(), checkVerify(dir))
}

// hasMeta: the meta page of the last commit is in the image.
func (c cutCommit) hasMeta(image []byte) bool {
	got, _, _ := readBoltMetas(bytes.NewReader(image))
	want, _, _ := readBoltMetas(bytes.NewReader(c.after))
	return got == want
}

func readBack(path string) []byte {
	b, _ := os.ReadFile(path)
	return b
}

// scenes are the ways in which a commit that is synced once can follow on others.
func scenes() map[string]func(t *testing.T) cutCommit {
	return map[string]func(t *testing.T) cutCommit{
		"the second of all": func(t *testing.T) cutCommit { t.Helper(); return bigCommits(t, 2, nil) },
		"among many":        func(t *testing.T) cutCommit { t.Helper(); return bigCommits(t, 30, nil) },
		"with a cursor": func(t *testing.T) cutCommit {
			t.Helper()
			return bigCommits(t, 9, func(l *Log, i int) { l.SetCursor("applied", fmt.Append(nil, "value ", i)) })
		},
		"behind a snapshot that is elsewhere in the root each time": func(t *testing.T) cutCommit {
			t.Helper()
			state := cutData(60)[:650] // that can't be packed
			return bigCommits(t, 5, func(l *Log, i int) {
				l.SetCursor("applied", bytes.Repeat([]byte{'x'}, 20*i+1))
				if i == 0 {
					if _, err := l.Append(context.Background(), Tx{Key: "key", Records: [][]byte{cutData(1)}}); err != nil {
						t.Fatal(err)
					}
					mustRoll(t, l, 1, string(state))
				}
			})
		},
		"with a cursor that has a page of its own": func(t *testing.T) cutCommit {
			t.Helper()
			value := bytes.Repeat([]byte("long "), 500)
			return bigCommits(t, 9, func(l *Log, i int) { l.SetCursor("applied", fmt.Append(value, i)) })
		},
	}
}

// TestTrialCutOffCommits leaves out sectors of a commit that was synced once, each alone, all but each, and many at random: it is there or it isn't.
func TestTrialCutOffCommits(t *testing.T) {
	for name, scene := range scenes() {
		t.Run(name, func(t *testing.T) {
			c := scene(t)
			dice := rand.New(rand.NewPCG(testenv.Seed(t), 0))
			dir := memoryDir(t)
			n, dropped := len(c.sectors), 0
			for i := range 2*n + testenv.Tries(10, 2000) {
				keep := func(k int) bool { return k != i }
				switch {
				case i >= 2*n:
					some := dice.Float64()
					keep = func(int) bool { return dice.Float64() < some }
				case i >= n:
					keep = func(k int) bool { return k == i-n }
				}
				last, err := c.check(dir, c.image(keep), Options{NoSync: true})
				if err != nil {
					t.Fatalf("image %d of a commit of %d sectors: %v", i, n, err)
				}
				if last == c.kept {
					dropped++
				}
			}
			if last, err := c.check(dir, c.after, Options{NoSync: true}); err != nil || last != c.all {
				t.Errorf("with all sectors the log ends at %d, want %d: %v", last, c.all, err)
			}
			if last, err := c.check(dir, c.before, Options{NoSync: true}); err != nil || last != c.kept {
				t.Errorf("with no sector the log ends at %d, want %d: %v", last, c.kept, err)
			}
			t.Logf("figure: sectors of commits that were synced once, %s | %d sectors, %d images | the commit was dropped in %d, nothing else lost", name, n, 2*n+testenv.Tries(10, 2000), dropped)
			if dropped < n {
				t.Errorf("only %d images were found cut off", dropped)
			}
		})
	}
}

// TestCutOffCommitsMatter is the negative control: who trusts the newest meta page gets a broken log, or one that lost what was acked.
func TestCutOffCommitsMatter(t *testing.T) {
	c := bigCommits(t, 9, nil)
	dir := memoryDir(t)
	meta, _, err := readBoltMetas(bytes.NewReader(c.after))
	if err != nil {
		t.Fatal(err)
	}
	at := int(meta.txid%2) * int(meta.pageSize)
	image := c.image(func(i int) bool { return c.sectors[i] == at }) // only the meta page
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), image, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir, Options{NoSync: true, faults: &faults{trust: true}})
	if err == nil {
		t.Errorf("the log ends at %d, and %d was acked", l.LastSeq(), c.kept)
		mustClose(t, l)
	}
	if last, err := c.check(dir, image, Options{NoSync: true}); err != nil || last != c.kept {
		t.Errorf("the log ends at %d, want %d: %v", last, c.kept, err)
	}
}

// TestCommitSum: each of the things that it is made of changes it, and the bit says what was announced.
func TestCommitSum(t *testing.T) {
	one := chain{1}
	all := map[uint64]bool{}
	for _, announced := range []bool{false, true} {
		for _, sum := range []uint64{
			commitSum(7, chain{}, sums{}, announced), commitSum(8, chain{}, sums{}, announced), commitSum(7, one, sums{}, announced),
			commitSum(7, chain{}, sums{meta: one}, announced), commitSum(7, chain{}, sums{cursors: one}, announced),
		} {
			if all[sum] || sum&announces != 0 != announced {
				t.Errorf("sum %x of a commit that announced: %t", sum, announced)
			}
			all[sum] = true
		}
	}
}

// TestSealAfterBigGroups: the seal of a segment whose last group was synced once is a commit as any other.
func TestSealAfterBigGroups(t *testing.T) {
	dir := memoryDir(t)
	l := mustOpen(t, dir, Options{faults: &faults{roll: func(step string) error {
		if step == "sealed" {
			return errors.New("interrupted")
		}
		return nil
	}}})
	for range 3 {
		if _, err := l.Append(context.Background(), bigTx(l.LastSeq()+1)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := l.Roll(textSnapshot(1, "state"))
	if err == nil {
		_, err = p.Wait()
	}
	if err == nil {
		t.Fatal("the roll came through")
	}
	_ = l.Close() // it tells of the failure again
	f, err := os.Open(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d, _, _ := doubtOf(f, segmentName(1)); d == cutOff {
		t.Error("a seal that is there is taken for one that isn't")
	}
	l = mustOpen(t, dir, Options{})
	if said := strings.Join(l.recovered, "\n"); !strings.Contains(said, "finished the roll") || strings.Contains(said, "dropped") {
		t.Errorf("recovered: %s", said)
	}
	mustClose(t, l)
	verifyClean(t, dir)
}

// TestDamageIsNoPowerCut: once a log is quiet, damage to its newest commit isn't taken for one that was cut off, be it small or big.
func TestDamageIsNoPowerCut(t *testing.T) {
	for name, small := range map[string]bool{"big": false, "small": true} {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			l := mustOpen(t, dir, Options{})
			for range 5 {
				if _, err := l.Append(context.Background(), bigTx(l.LastSeq()+1)); err != nil {
					t.Fatal(err)
				}
			}
			if small {
				mustAppend(t, l, "", "small")
			}
			mustClose(t, l)
			path := filepath.Join(dir, segmentName(1))
			good := readFile(t, path)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if trail := trailOf(f); trail.loud() {
				t.Fatalf("a log that was closed announces: %+v", trail)
			}
			meta, _, err := readBoltMetas(f)
			if err != nil {
				t.Fatal(err)
			}
			bad := bytes.Clone(good)
			bad[int64(meta.root)*meta.pageSize] ^= 1
			isRefused(t, path, bad)
		})
	}
}

// isRefused: the log whose live segment at path is bad doesn't open, and stays as it is.
func isRefused(t *testing.T, path string, bad []byte) {
	t.Helper()
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(filepath.Dir(path), Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("it opens: %v", err)
		mustClose(t, l)
	}
	if got := readFile(t, path); !bytes.Equal(got, bad) {
		t.Error("the damaged file was changed")
	}
}

// TestSyncedOnce counts how often a log waits for the disk: of big groups in a row all but the first take one fdatasync. On a machine that
// stands still for a while the log becomes quiet between them, but not each time.
func TestSyncedOnce(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.FUSE)
		want := append(append([]int{2}, slices.Repeat([]int{1}, bigGroups-1)...), 2)
		var counts []int
		for range 10 {
			if counts = syncsBetweenAcks(journalOf(t, "big")); slices.Equal(counts, want) {
				return
			}
		}
		t.Errorf("syncs for each group: %v, want %v", counts, want)
	})
}

const bigGroups = 12

// big appends big groups, one after the other, then a small one.
func (w *cutWriter) big() error {
	for range bigGroups {
		if err := w.append(len(bigTx(w.last + 1).Records)); err != nil {
			return err
		}
	}
	return w.append(1)
}

// bigRolling mixes big groups with all else.
func (w *cutWriter) bigRolling() error {
	for i := range 6 {
		err := w.big()
		w.log.SetCursor("applied", fmt.Append(nil, i))
		if err = errors.Join(err, w.append(120), w.append(120), w.append(120)); i%2 == 0 {
			err = errors.Join(err, w.roll(), w.append(120), w.append(120))
		}
		if i%3 == 2 {
			err = errors.Join(err, w.log.Close(), w.open(), w.append(120), w.append(120))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// syncsBetweenAcks is how often a file was synced for each transaction that was acked, from when it was sent.
func syncsBetweenAcks(events []powercut.Event) (counts []int) {
	n := 0
	for _, e := range events {
		switch {
		case e.Kind == powercut.Note && strings.HasPrefix(e.Text, "sent"):
			n = 0
		case e.Kind == powercut.Note && strings.HasPrefix(e.Text, "acked"):
			counts = append(counts, n)
		case e.Kind == powercut.Sync:
			n++
		}
	}
	return counts
}

// TestDamageToBothIsNoPowerCut: damage to what was there before the newest commit doesn't make that one cut off, though its log isn't quiet.
func TestDamageToBothIsNoPowerCut(t *testing.T) {
	c := bigCommits(t, 3, nil)
	dir := memoryDir(t)
	path := filepath.Join(dir, segmentName(1))
	bad := bytes.Clone(c.after)
	at := bytes.Index(bad, cutData(1))
	if at < 0 {
		t.Fatal("the first record isn't in the file as it is")
	}
	bad[at] ^= 1
	isRefused(t, path, bad)
}

// TestCutOffBesideDamage: what a log goes on with when it is damaged doesn't keep it from telling that its newest commit was cut off.
func TestCutOffBesideDamage(t *testing.T) {
	for _, value := range []string{"the state", "the key", "the cursor"} {
		t.Run(value, func(t *testing.T) {
			dir := memoryDir(t)
			l := mustOpen(t, dir, Options{})
			mustAppend(t, l, "the key", "a")
			l.SetCursor("applied", []byte("the cursor"))
			mustRoll(t, l, 1, "the state")
			mustClose(t, l)
			path := filepath.Join(dir, segmentName(2))
			whole := readFile(t, path)
			bad := bytes.ReplaceAll(whole, []byte(value), []byte(strings.ToUpper(value)))
			if bytes.Equal(bad, whole) {
				t.Fatal("it isn't in the file")
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var c cutCommit
			l = mustOpen(t, dir, Options{faults: &faults{busy: true}})
			for range 4 {
				c.kept, c.before = l.LastSeq(), readFile(t, path)
				if _, err := l.Append(context.Background(), bigTx(l.LastSeq()+1)); err != nil {
					t.Fatal(err)
				}
			}
			c.after = readFile(t, path)
			mustClose(t, l)
			mustFollow(t, c.before, c.after)
			meta, _, err := readBoltMetas(bytes.NewReader(c.after))
			if err != nil {
				t.Fatal(err)
			}
			at := int64(meta.txid%2) * meta.pageSize
			image := append(bytes.Clone(c.before), make([]byte, max(0, len(c.after)-len(c.before)))...)
			copy(image[at:at+sectorSize], c.after[at:])
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err = Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if l.LastSeq() != c.kept {
				t.Errorf("the log ends at %d, want %d", l.LastSeq(), c.kept)
			}
			mustClose(t, l)
		})
	}
}

// TestNotQuiet: a log whose newest commit announced something isn't quiet, whatever stands in the place of the commit before.
func TestNotQuiet(t *testing.T) {
	for name, spoil := range map[string]func(older []byte){
		"not the commit before": func(older []byte) { // as in a copy, whose first commit went over the newest meta page
			le.PutUint64(older[boltHeader+48:], le.Uint64(older[boltHeader+48:])-1)
			le.PutUint64(older[boltHeader+56:], boltChecksum(older[boltHeader:]))
		},
		"damaged": func(older []byte) { older[boltHeader] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := bigCommits(t, 3, nil)
			meta, _, err := readBoltMetas(bytes.NewReader(c.after))
			if err != nil {
				t.Fatal(err)
			}
			spoil(c.after[int64((meta.txid+1)%2)*meta.pageSize:])
			dir := memoryDir(t)
			path := filepath.Join(dir, segmentName(1))
			if err := os.WriteFile(path, c.after, 0o600); err != nil {
				t.Fatal(err)
			}
			l := mustOpen(t, dir, Options{})
			mustAppend(t, l, "", "small")
			mustClose(t, l)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if trail := trailOf(f); trail.loud() {
				t.Errorf("it was closed, and announces: %+v", trail)
			}
		})
	}
}

// TestSalvageTellsOfADamagedSeal: a segment that another follows was sealed when the last group in it was durable, so that its newest commit
// can't have been cut off.
func TestSalvageTellsOfADamagedSeal(t *testing.T) {
	dir := memoryDir(t)
	l := mustOpen(t, dir, Options{})
	for range 3 {
		if _, err := l.Append(context.Background(), bigTx(l.LastSeq()+1)); err != nil {
			t.Fatal(err)
		}
	}
	mustRoll(t, l, 1, "state")
	mustClose(t, l)
	path := filepath.Join(dir, segmentName(1))
	bad := readFile(t, path)
	meta, _, err := readBoltMetas(bytes.NewReader(bad))
	if err != nil {
		t.Fatal(err)
	}
	bad[int64(meta.root)*meta.pageSize] ^= 1
	if err := errors.Join(os.Chmod(path, modeLive), os.WriteFile(path, bad, modeLive), os.Chmod(path, modeSealed)); err != nil {
		t.Fatal(err)
	}
	s, err := Salvage(context.Background(), dir, filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Last != l.LastSeq() || len(s.Lost) == 0 {
		t.Errorf("salvaged through %d of %d, and told of %v", s.Last, l.LastSeq(), s.Lost)
	}
}

// killed notes when the log is opened again.
func (w *cutWriter) killed() error {
	for range 12 {
		if err := errors.Join(w.singles(3), w.say("killed"), w.log.Close(), w.open()); err != nil {
			return err
		}
	}
	return w.singles(1)
}

// killedBig is killed in the middle of big groups: it never becomes quiet.
func (w *cutWriter) killedBig() error {
	for range 6 {
		for range 3 {
			if err := w.append(len(bigTx(w.last + 1).Records)); err != nil {
				return err
			}
		}
		w.faults.before = func() error { return errors.New("killed") }
		p, err := w.log.Enqueue(Tx{Records: [][]byte{nil}})
		if err := errors.Join(err, w.say("killed")); err != nil {
			return err
		}
		if _, err := p.Wait(); err == nil {
			return errors.New("it wasn't killed")
		}
		_ = w.log.Close()
		w.faults.before = nil
		if err := w.open(); err != nil {
			return err
		}
	}
	return nil
}

// killedAndCopied makes a copy in between, by another program.
func (w *cutWriter) killedAndCopied() error {
	for i := range 12 {
		err := errors.Join(w.singles(3), w.say("killed"), w.log.Close(), w.say("copying %d %d", i, w.last-1),
			Copy(filepath.Join(w.root, cutLog), filepath.Join(w.root, fmt.Sprint("copy-", i))), w.say("copied %d %d", i, w.last), w.open())
		if err != nil {
			return err
		}
	}
	return nil
}

// killedEarlier is a journal in which the writer was killed each time before the last sync of the last commit came to an end: what opens the
// log finds in memory what isn't on the disk yet. failed: that sync failed, so that nobody writes it there any more.
func killedEarlier(events []powercut.Event, failed bool) (all []powercut.Event) {
	last := func(which func(powercut.Event) bool) int {
		i := len(all) - 1
		for !which(all[i]) {
			i--
		}
		return i
	}
	for _, e := range events {
		if e.Kind != powercut.Note || !strings.HasPrefix(e.Text, "killed") {
			all = append(all, e)
			continue
		}
		i := last(func(e powercut.Event) bool { return e.Kind == powercut.Note && strings.HasPrefix(e.Text, "acked") })
		all = slices.Delete(all, i, i+1)
		i = last(func(e powercut.Event) bool { return e.Kind == powercut.Sync })
		all = slices.Delete(all, i, i+1)
		for i--; failed && all[i].Kind != powercut.Sync; i-- { // what it was for
			if all[i].Kind == powercut.Write {
				all = slices.Delete(all, i, i+1)
			}
		}
	}
	return all
}

// TestTrialKilledBeforeTheLastSync cuts the power after a log was opened, or copied, that a killed writer, or one whose sync failed, left in memory
// alone.
func TestTrialKilledBeforeTheLastSync(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.FUSE)
		for _, scene := range []struct {
			role   string
			failed bool
		}{{"killed", false}, {"killed", true}, {"killed, big", false}, {"killed, big", true}, {"killed and copied", false}} {
			c := cutTest{role: scene.role, events: killedEarlier(journalOf(t, scene.role), scene.failed), seed: testenv.Seed(t), dir: memoryDir(t)}
			found, images := c.run(testenv.Tries(240, 20_000))
			for _, f := range found {
				t.Error(scene, f)
			}
			t.Logf("figure: power cuts after the last sync of a commit was missing, %s, its write too: %t | %d images | %d faults", scene.role, scene.failed, images, len(found))
		}
	})
}

func init() {
	childRoles["killed"] = func(root string) error { return runCutWriter(root, false, (*cutWriter).killed) }
	childRoles["killed, big"] = func(root string) error { return runCutWriter(root, false, (*cutWriter).killedBig) }
	childRoles["killed and copied"] = func(root string) error { return runCutWriter(root, false, (*cutWriter).killedAndCopied) }
}

// TestFirstIsSyncedTwice: what stands in an opened file says nothing about the places of its meta pages, which in a copy may be the other way
// round. So the first commit of a process is synced twice, whatever was announced.
func TestFirstIsSyncedTwice(t *testing.T) {
	c := bigCommits(t, 3, nil)
	path := filepath.Join(memoryDir(t), segmentName(1))
	if err := os.WriteFile(path, c.after, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openSegment(path, openMode{write: true})
	if err != nil {
		t.Fatal(err)
	}
	if !s.trail.loud() || s.once {
		t.Errorf("a log of big groups is opened: %+v, synced once: %t", s.trail, s.once)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// TestBecomesQuiet: a log that nobody appends to any more becomes quiet by itself, after its big groups and after it was opened.
func TestBecomesQuiet(t *testing.T) {
	c := bigCommits(t, 3, nil)
	for name, image := range map[string][]byte{"after big groups": nil, "after it was opened": c.after} {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			path := filepath.Join(dir, segmentName(1))
			if image != nil {
				if err := os.WriteFile(path, image, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := mustOpen(t, dir, Options{})
			defer mustClose(t, l)
			for i := 0; i < 3 && image == nil; i++ {
				if _, err := l.Append(context.Background(), bigTx(l.LastSeq()+1)); err != nil {
					t.Fatal(err)
				}
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for began := time.Now(); ; <-time.After(cursorDelay / 10) {
				if metas := boltMetas(f); len(metas) == 2 && !metas[0].announced(f) && !metas[1].announced(f) {
					break
				}
				if time.Since(began) > 2*time.Minute {
					t.Fatal("it stays as it was")
				}
			}
		})
	}
}

// TestSyncOnceFails: a commit whose only sync fails isn't told of as durable, and neither is one that couldn't be stored.
func TestSyncOnceFails(t *testing.T) {
	r, w, err := os.Pipe() // which can't be synced
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := &segment{db: &bolt.DB{}, file: w}
	stored := false
	err = s.syncOnce(func() error {
		stored = s.db.NoSync
		return nil
	})
	if !errors.Is(err, unix.EINVAL) || !stored || s.db.NoSync {
		t.Errorf("%v; stored without a sync of its own: %t, and then: %t", err, stored, s.db.NoSync)
	}
	broken := errors.New("broken")
	if err := s.syncOnce(func() error { return broken }); !errors.Is(err, broken) || s.db.NoSync {
		t.Errorf("%v; without syncs from then on: %t", err, s.db.NoSync)
	}
}
