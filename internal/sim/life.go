package sim

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// life is one run of the daemon, from its start to its end.
type life struct {
	dir    string // of its log
	h      *bakery.Handle
	ctx    context.Context // of the daemon
	stop   context.CancelFunc
	mortal context.Context // of who waits for the daemon; ends when it dies
	kill   context.CancelFunc

	kernelRNG, diskRNG *rand.Rand // of the goroutine that asks the kernel, and of the one that commits

	dead  atomic.Bool   // nothing of what it does counts any more
	died  chan struct{} // closed when it died by itself
	image string        // what is left of its log then

	mu  sync.Mutex
	log *eventlog.Log
}

// die ends the daemon from within one of its goroutines, which then waits for its burial.
// image is what is left of the log, "" for what it has now.
func (l *life) die(image string) {
	if l.dead.Swap(true) {
		return
	}
	l.image = image
	l.kill()
	close(l.died)
	<-l.ctx.Done()
}

func (l *life) setLog(log *eventlog.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
}

func (l *life) openLog() *eventlog.Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log
}

// cursorLog is a log to which noting a cursor takes a moment: the committer, which may look
// for one just now, has looked before.
type cursorLog struct {
	*eventlog.Log
	l *life
}

// SetCursor implements bakery.Log.
func (c cursorLog) SetCursor(name string, v []byte) {
	time.Sleep(time.Duration(1000 + c.l.kernelRNG.IntN(9000)))
	c.Log.SetCursor(name, v)
}

// start starts the daemon on the log in dir.
func (w *world) start(dir string) {
	n := uint64(w.lives)
	l := &life{dir: dir, died: make(chan struct{}), kernelRNG: stream(w.cfg.seed, 2*n+1), diskRNG: stream(w.cfg.seed, 2*n+2)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.mortal, l.kill = context.WithCancel(l.ctx)
	w.life = l
	o := bakery.Options{
		OpenLog: func() (bakery.Log, error) {
			log, err := w.disk.open(l, w.segmentBytes)
			if err != nil {
				return nil, err
			}
			l.setLog(log)
			return cursorLog{log, l}, nil
		},
		Setup:     func() (bakery.Setup, error) { return w.setup, nil },
		Now:       time.Now,
		Sink:      w.sink,
		Kernel:    &kernel{Fake: w.k, w: w, l: l},
		Dataplane: &plane{d: w.d, w: w, l: l},
		Drift:     w.policy,
		Settle:    settle, SettleMax: settleMax,
		Retain: bakery.Retention{Generations: 4},
		Logger: slog.New(slog.DiscardHandler),
	}
	w.cfg.mutant.change(w, &o)
	w.trace.add("life", "start")
	for {
		h, err := bakery.Start(l.ctx, o)
		if err == nil {
			l.h = h
			break
		}
		if !w.disk.refusing() {
			w.broke("the daemon doesn't start: %v", err)
			return
		}
		w.sleep(time.Second)
	}
	w.lives++
	w.readLive()
	w.sink.begin(w.archive.last())
	w.sleep(0)
}

// end ends the daemon as SIGTERM does, and gives the folder of its log. It may die over it.
func (w *world) end() string {
	w.trace.add("life", "ends")
	l := w.life
	l.stop()
	<-l.h.Done()
	synctest.Wait()
	w.ledger.bury()
	l.kill()
	if l.image == "" {
		return l.dir
	}
	w.crashes++
	_ = os.RemoveAll(l.dir)
	w.readImage(l.image)
	return l.image
}

// crash ends the daemon at once, with what is on the disk.
func (w *world) crash() {
	l := w.life
	if l.dead.Swap(true) {
		return
	}
	l.image = ""
	w.crashed()
}

// crashed takes up what a daemon that died has left, after a while, and starts another. With
// the power the kernel is gone, too.
func (w *world) crashed() {
	l := w.life
	image, err := l.image, error(nil)
	if image == "" {
		image = w.disk.newImage()
		err = copyLog(l.dir, image)
	}
	image = w.cfg.mutant.afterCrash(image)
	w.crashes++
	power := w.rng.IntN(3) == 0 || w.powerGoes
	w.powerGoes = false
	w.trace.add("life", "crash, power cut: %t", power)
	w.bury(image)
	if err != nil {
		w.broke("copying the log: %v", err)
		return
	}
	w.ledger.bury()
	w.readImage(image)
	if power {
		w.reboot()
	}
	w.disarm()
	w.absent()
	if w.ok() {
		w.start(image)
	}
}

// crashPower is a crash in which the power goes, too.
func (w *world) crashPower() {
	w.powerGoes = true
	w.crash()
}

// bury waits for the end of a daemon, and takes its log away unless it is to be kept.
func (w *world) bury(keep string) {
	l := w.life
	l.stop()
	l.kill()
	if l.h != nil {
		<-l.h.Done()
	}
	if l.dir != keep {
		_ = os.RemoveAll(l.dir)
	}
}

// absent is the time without a daemon, in which others go on.
func (w *world) absent() {
	for range w.rng.IntN(3) {
		w.sleep(time.Duration(w.rng.IntN(5000)) * time.Millisecond)
		if w.wild && w.rng.IntN(4) == 0 {
			w.meddle()
		}
	}
	w.sleep(0)
}

// restart ends the daemon, and starts it on the same log.
func (w *world) restart() {
	dir := w.end()
	w.life.dead.Store(true)
	w.sleep(0)
	w.start(dir)
}

// reboot starts the kernel again, with nothing on its links and nothing steered.
func (w *world) reboot() {
	w.k.Reboot()
	w.d.Meddle(nil, w.d.Entries())
	w.drifted = false
}
