package eventlog

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lqosd/internal/testenv"
)

// TestTrialSyncWhileShutDown shuts an ext4 down at about the moment of an fdatasync, as a fault of its disk may. What fdatasync says then isn't
// always so; what it says with stillWrites is.
func TestTrialSyncWhileShutDown(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) { // whose mounts no other process takes along
		testenv.Need(t, testenv.Ext4)
		disk, dice := testenv.NewExt4(t, 64), testenv.Dice(t)
		cuts, said, lied := testenv.Tries(150, 3000), 0, 0
		for n := range cuts {
			synced, writes, there := syncAndShutDown(t, disk, dice, byte(n%250+1))
			if synced {
				said++
			}
			if synced && !there {
				lied++
			}
			if synced && writes && !there {
				t.Fatalf("cut %d: it was synced, the file system took writes after that, and it is gone", n)
			}
		}
		t.Logf("figure: ext4 shut down while it syncs | %d cuts, %d fdatasyncs said that it was done | %d of them lied, all of which was noticed", cuts, said, lied)
	})
}

// syncAndShutDown writes a file to new blocks and syncs it while its file system is shut down, and looks what is there then.
func syncAndShutDown(t *testing.T, disk *testenv.Ext4Disk, dice *rand.Rand, fill byte) (synced, writes, there bool) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk.Dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	preallocate(f, 8<<20)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	data, cut, flush := bytes.Repeat([]byte{fill}, 64<<10), make(chan error, 1), dice.IntN(3) == 0
	time.AfterFunc(time.Duration(dice.IntN(400))*time.Microsecond, func() { cut <- disk.Cut(flush) })
	if _, err := f.WriteAt(data, int64(dice.IntN(16))*(128<<10)); err == nil { // or it came too late
		synced = fdatasync(f) == nil
		writes = stillWrites(f) == nil
	}
	if err := <-cut; err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if err := disk.Unmount(); err != nil {
		t.Fatal(err)
	}
	if err := disk.Mount(); err != nil {
		t.Fatal(err)
	}
	return synced, writes, bytes.Contains(readFile(t, filepath.Join(disk.Dir, "file")), data)
}
