package main

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// syncTime is how long the disk of the stand takes for a few bytes: the median of some tries.
func (s *stand) syncTime() (float64, error) {
	f, err := os.Create(filepath.Join(s.dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(make([]byte, 1<<16)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var times []float64
	for i := range 301 {
		began := time.Now()
		if _, err := f.WriteAt([]byte("something"), int64(i%32)<<10); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(began)))
	}
	return median(times), nil
}
