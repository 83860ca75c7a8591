package supervise

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world starts workers that are no processes.
type world struct {
	t       *testing.T
	signals chan os.Signal
	workers chan *fakeWorker
	starts  []time.Time
	// refuse makes starts fail.
	refuse atomic.Bool
	told   []string
	done   chan error
	// lastGood is why the last worker begins with what ran well.
	lastGood string
}

type fakeWorker struct {
	told  chan string
	ended chan End
	got   chan os.Signal
}

func (w *fakeWorker) PID() int            { return 7 }
func (w *fakeWorker) Told() <-chan string { return w.told }
func (w *fakeWorker) Ended() <-chan End   { return w.ended }
func (w *fakeWorker) Signal(s os.Signal) error {
	w.got <- s
	return nil
}

// ready says what a worker says at the end of its start.
func (w *fakeWorker) ready() {
	w.told <- Listening
	w.told <- "READY=1\nSTATUS=well"
}

// signals returns those that have arrived.
func (w *fakeWorker) signals() (list []os.Signal) {
	synctest.Wait()
	for {
		select {
		case s := <-w.got:
			list = append(list, s)
		default:
			return list
		}
	}
}

// run runs a Supervisor in a bubble.
func run(t *testing.T, play func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, signals: make(chan os.Signal), workers: make(chan *fakeWorker, 1), done: make(chan error, 1)}
		s := New(Options{
			Start:   w.start,
			Signals: w.signals,
			Notify:  func(s string) { w.told = append(w.told, s) },
		})
		go func() { w.done <- s.Run() }()
		play(w)
	})
}

func (w *world) start(lastGood string) (Worker, error) {
	w.starts = append(w.starts, time.Now())
	w.lastGood = lastGood
	if w.refuse.Load() {
		return nil, errRefused
	}
	f := &fakeWorker{told: make(chan string), ended: make(chan End, 1), got: make(chan os.Signal, 10)}
	w.workers <- f
	return f, nil
}

// over wants the end of Run.
func (w *world) over(want End) {
	w.t.Helper()
	err := <-w.done
	if want.well() {
		if err != nil {
			w.t.Errorf("Run = %v, want nil", err)
		}
		return
	}
	got, ok := errors.AsType[*EndError](err)
	if !ok || !errors.Is(got.End.Err, want.Err) || got.End.Code != want.Code || got.End.Signal != want.Signal {
		w.t.Errorf("Run = %v, want the end %v", err, want)
	}
}

var errRefused = errors.New("no memory")

var killed = End{Signal: syscall.SIGKILL}

// TestDeathsInARow: the first restart is at once, later ones wait longer and
// longer, and one that ran well ends the row.
func TestDeathsInARow(t *testing.T) {
	run(t, func(w *world) {
		var pauses []time.Duration
		last := time.Now()
		for range 9 {
			f := <-w.workers
			pauses = append(pauses, time.Since(last))
			f.ready()
			last = time.Now()
			f.ended <- killed
		}
		want := []time.Duration{0, 0, 100e6, 200e6, 400e6, 800e6, 1600e6, 3200e6, 5e9}
		if diff := cmp.Diff(want, pauses); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		f := <-w.workers
		f.ready()
		time.Sleep(ranWell)
		died := time.Now()
		f.ended <- killed
		f = <-w.workers
		if after := time.Since(died); after != 0 {
			t.Errorf("the first restart of a new row waited %s", after)
		}
		f.ended <- End{}
		w.over(End{})
	})
}

// TestEnds: which ends of a worker are followed by another one.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ready bool
		end   End
		again bool
	}{
		{"ended well", true, End{}, false},
		{"ended well before it was ready", false, End{}, false},
		{"the configuration cannot be used", false, End{Code: 4}, false},
		{"another daemon runs", false, End{Code: 13}, false},
		{"panic at the start", false, End{Code: panicCode}, true},
		{"killed at the start", false, killed, true},
		{"a part failed", true, End{Code: 1}, true},
		{"panic", true, End{Code: panicCode}, true},
		{"killed", true, killed, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(w *world) {
				f := <-w.workers
				if tt.ready {
					f.ready()
				}
				f.ended <- tt.end
				if !tt.again {
					w.over(tt.end)
					return
				}
				f = <-w.workers
				f.ended <- End{}
				w.over(End{})
			})
		})
	}
}

// TestFailedRestart: a worker that cannot start is tried again where one ran
// before.
func TestFailedRestart(t *testing.T) {
	run(t, func(w *world) {
		f := <-w.workers
		f.ready()
		w.refuse.Store(true)
		f.ended <- killed
		time.Sleep(150 * time.Millisecond) // it fails at 0 and 100 ms
		synctest.Wait()
		w.refuse.Store(false)
		f = <-w.workers
		f.ended <- End{Code: 4} // the file was damaged meanwhile
		f = <-w.workers
		f.ready()
		f.ended <- End{}
		w.over(End{})
		if len(w.starts) != 5 {
			t.Errorf("%d starts, want 5", len(w.starts))
		}
	})
}

func TestFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := New(Options{Start: func(string) (Worker, error) { return nil, errRefused }}).Run()
		if !errors.Is(err, errRefused) {
			t.Errorf("Run = %v, want %v", err, errRefused)
		}
	})
}

// TestSignals: signals wait until the worker listens, and each waits once.
func TestSignals(t *testing.T) {
	run(t, func(w *world) {
		f := <-w.workers
		w.signals <- syscall.SIGHUP
		w.signals <- syscall.SIGUSR1
		w.signals <- syscall.SIGHUP
		if got := f.signals(); got != nil {
			t.Errorf("before it listens the worker got %v", got)
		}
		f.ready()
		if got, want := f.signals(), []os.Signal{syscall.SIGHUP, syscall.SIGUSR1}; !slices.Equal(got, want) {
			t.Errorf("when it listens the worker got %v, want %v", got, want)
		}
		w.signals <- syscall.SIGUSR2
		if got, want := f.signals(), []os.Signal{syscall.SIGUSR2}; !slices.Equal(got, want) {
			t.Errorf("then the worker got %v, want %v", got, want)
		}
		f.ended <- killed
		f = <-w.workers
		w.signals <- syscall.SIGHUP
		if got := f.signals(); got != nil {
			t.Errorf("before it listens the second worker got %v", got)
		}
		f.ready()
		if got, want := f.signals(), []os.Signal{syscall.SIGHUP}; !slices.Equal(got, want) {
			t.Errorf("the second worker got %v, want %v", got, want)
		}
		f.ended <- End{}
		w.over(End{})
	})
}

// TestStop: the parent ends as the worker that it has stopped.
func TestStop(t *testing.T) {
	for _, end := range []End{{}, {Code: 1}} {
		run(t, func(w *world) {
			f := <-w.workers
			f.ready()
			w.signals <- syscall.SIGTERM
			if got, want := f.signals(), []os.Signal{syscall.SIGTERM}; !slices.Equal(got, want) {
				t.Errorf("the worker got %v, want %v", got, want)
			}
			f.ended <- end
			w.over(end)
		})
	}
}

// TestKilledInStop: a worker that was killed instead of stopping is followed by
// one more, and only one.
func TestKilledInStop(t *testing.T) {
	for _, end := range []End{{}, killed} {
		run(t, func(w *world) {
			f := <-w.workers
			f.ready()
			w.signals <- syscall.SIGINT
			<-f.got
			f.ended <- killed
			f = <-w.workers
			f.ready()
			if got, want := f.signals(), []os.Signal{syscall.SIGINT}; !slices.Equal(got, want) {
				t.Errorf("the last worker got %v, want %v", got, want)
			}
			f.ended <- end
			w.over(end)
		})
	}
}

// TestStopAtStart: a start that was broken off leaves nothing to clear up.
func TestStopAtStart(t *testing.T) {
	run(t, func(w *world) {
		f := <-w.workers
		w.signals <- syscall.SIGINT
		f.ended <- End{Signal: syscall.SIGINT}
		w.over(End{Signal: syscall.SIGINT})
	})
}

// TestStopHangs: a worker that does not stop is killed.
func TestStopHangs(t *testing.T) {
	run(t, func(w *world) {
		f := <-w.workers
		f.ready()
		began := time.Now()
		w.signals <- syscall.SIGTERM
		<-f.got
		w.signals <- syscall.SIGINT // buys no time
		<-f.got
		if sig := <-f.got; sig != syscall.SIGKILL || time.Since(began) != defaultPatience {
			t.Errorf("%v after %s, want SIGKILL after %s", sig, time.Since(began), time.Duration(defaultPatience))
		}
		f.ended <- killed
		w.over(killed)
	})
}

// TestStopBetweenWorkers: what the dead worker left needs one more to go.
func TestStopBetweenWorkers(t *testing.T) {
	run(t, func(w *world) {
		for range 6 {
			f := <-w.workers
			f.ready()
			f.ended <- killed
		}
		synctest.Wait()
		stopped := time.Now()
		w.signals <- syscall.SIGTERM
		f := <-w.workers
		if after := time.Since(stopped); after != 0 {
			t.Errorf("the last worker came after %s", after)
		}
		f.ready()
		if got, want := f.signals(), []os.Signal{syscall.SIGTERM}; !slices.Equal(got, want) {
			t.Errorf("the last worker got %v, want %v", got, want)
		}
		f.ended <- End{}
		w.over(End{})
	})
}

// TestNotify: the service manager hears what workers say, and of their death.
func TestNotify(t *testing.T) {
	run(t, func(w *world) {
		f := <-w.workers
		f.ready()
		f.told <- "WATCHDOG=1"
		close(f.told)
		f.ended <- End{Signal: syscall.SIGSEGV}
		f = <-w.workers
		f.ready()
		f.ended <- End{}
		w.over(End{})
		want := []string{
			"READY=1\nSTATUS=well", "WATCHDOG=1",
			"STATUS=the worker died (killed by signal 11 (segmentation fault)) and is started again",
			"READY=1\nSTATUS=well",
		}
		if diff := cmp.Diff(want, w.told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// TestLastGood: workers that die again and again, and one that does not take the
// file, are followed by workers with the configuration that last ran well, until
// a reload asks for the file.
func TestLastGood(t *testing.T) {
	run(t, func(w *world) {
		for range deathsMost {
			f := <-w.workers
			if w.lastGood != "" {
				t.Errorf("worker %d begins with the last good configuration: %s", len(w.starts), w.lastGood)
			}
			f.ready()
			f.ended <- End{Code: panicCode}
		}
		const why = "5 workers died one after the other, the last one: exit code 2 (panic)"
		f := <-w.workers
		if w.lastGood != why {
			t.Errorf("why: %q, want %q", w.lastGood, why)
		}
		f.ready()
		time.Sleep(ranWell)
		f.ended <- killed
		f = <-w.workers // it is not said that the file is any better
		if w.lastGood != why {
			t.Errorf("why after it ran well: %q, want %q", w.lastGood, why)
		}
		f.ready()
		w.signals <- syscall.SIGHUP
		<-f.got
		f.ended <- killed
		f = <-w.workers
		if w.lastGood != "" {
			t.Errorf("after a reload it begins with the last good configuration: %s", w.lastGood)
		}
		f.ended <- End{Code: 4}
		f = <-w.workers
		if want := "a worker could not start: exit code 4"; w.lastGood != want {
			t.Errorf("after a file that is refused: %q, want %q", w.lastGood, want)
		}
		f.ready()
		f.ended <- End{}
		w.over(End{})
	})
}

// TestNoLastGood: before any worker was ready there is nothing that ran well.
func TestNoLastGood(t *testing.T) {
	run(t, func(w *world) {
		for range 2 * deathsMost {
			f := <-w.workers
			if w.lastGood != "" {
				t.Errorf("worker %d begins with the last good configuration: %s", len(w.starts), w.lastGood)
			}
			f.ended <- killed
		}
		f := <-w.workers
		f.ended <- End{Code: 4}
		w.over(End{Code: 4})
	})
}
