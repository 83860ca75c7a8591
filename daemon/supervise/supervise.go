package supervise

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Worker is a worker at work.
type Worker interface {
	PID() int
	// Told returns what the worker says: Listening, and states in the words of
	// sd_notify(3). It may be closed before the end.
	Told() <-chan string
	// Ended returns a channel that says once how the worker ended.
	Ended() <-chan End
	// Signal sends a signal. A worker that has ended takes it, too.
	Signal(os.Signal) error
}

// Listening is what a worker says when it can take signals.
const Listening = "LISTENING=1"

// Options describe a Supervisor.
type Options struct {
	// Start starts a worker. lastGood says why it is to begin with the
	// configuration that last ran well, and is empty if it is not. Required;
	// Exec makes the real one.
	Start func(lastGood string) (Worker, error)
	// Signals are passed on to the worker. SIGTERM and SIGINT stop, too.
	// Default nil: none arrive.
	Signals <-chan os.Signal
	// Notify tells the service manager what a worker says. Default nil: nobody
	// is told.
	Notify func(state string)
	// Patience is how long a worker may take to stop before it is killed,
	// default 75 s: less than the 90 s of a service manager, and more than a
	// master at the slowest adverts waits for its successor.
	Patience time.Duration
	// Log gets one line for each worker and each death, default discards.
	Log *slog.Logger
}

const defaultPatience = 75 * time.Second

// Supervisor keeps a worker running.
type Supervisor struct {
	opts    Options
	backoff backoff
	// ready is set once any worker was.
	ready bool
	// stop is the signal that asked for the end, nil before; deadline is when
	// patience ends.
	stop     os.Signal
	deadline <-chan time.Time
	// cleaning is set when the last worker there may be was started.
	cleaning bool
	// waiting are signals for a worker that does not listen yet.
	waiting   []os.Signal
	listening bool
	// workerReady is set once the present worker was ready.
	workerReady bool
	// lastGood says why workers begin with the configuration that last ran
	// well.
	lastGood string
}

// New returns a Supervisor. Nothing happens before Run.
func New(o Options) *Supervisor {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{opts: o}
}

// Run runs workers, one after the other, until one ends for good. It returns nil
// when that ended well, and an *EndError otherwise. It is called once.
func (s *Supervisor) Run() error {
	for {
		began := time.Now()
		end := s.work()
		ran := time.Since(began)
		if s.final(end) {
			if end.well() {
				return nil
			}
			return &EndError{end}
		}
		pause := s.backoff.next(ran)
		s.opts.Log.Error("worker died", "cause", end.String(), "ran", ran, "deaths", s.backoff.deaths, "next_start_in", pause)
		s.opts.Notify("STATUS=the worker died (" + end.String() + ") and is started again")
		s.fallBack(end)
		s.pause(pause)
	}
}

// final reports whether no worker follows one that ended so. One that is killed
// on its way out is followed by one that clears up.
func (s *Supervisor) final(end End) bool {
	if end.well() || !s.ready && !end.crashed() {
		return true
	}
	return s.stop != nil && (s.cleaning || !s.ready || !end.crashed())
}

// work runs one worker and returns how it ended.
func (s *Supervisor) work() End {
	s.workerReady = false
	w, err := s.opts.Start(s.lastGood)
	if err != nil {
		return End{Err: err}
	}
	s.opts.Log.Debug("worker started", "pid", w.PID())
	s.listening = false
	if s.stop != nil {
		s.cleaning = true
		s.take(s.stop)
	}
	told := w.Told()
	for {
		select {
		case state, ok := <-told:
			if !ok {
				told = nil
				continue
			}
			s.heard(w, state)
		case sig := <-s.opts.Signals:
			s.take(sig)
			s.pass(w)
		case <-s.deadline:
			s.opts.Log.Error("worker does not stop, and is killed", "after", s.opts.Patience)
			s.cleaning = true
			s.send(w, syscall.SIGKILL)
		case end := <-w.Ended():
			return end
		}
	}
}

// heard takes what the worker says.
func (s *Supervisor) heard(w Worker, state string) {
	if state == Listening {
		s.listening = true
		s.pass(w)
		return
	}
	if slices.Contains(strings.Split(state, "\n"), "READY=1") {
		s.ready, s.workerReady = true, true
	}
	s.opts.Notify(state)
}

// take notes a signal for the worker.
func (s *Supervisor) take(sig os.Signal) {
	if isStop(sig) && s.stop == nil {
		s.stop = sig
		s.deadline = time.After(s.opts.Patience)
	}
	s.askedForFile(sig)
	if !slices.Contains(s.waiting, sig) {
		s.waiting = append(s.waiting, sig)
	}
}

// pass sends the signals on to a worker that listens.
func (s *Supervisor) pass(w Worker) {
	if !s.listening {
		return
	}
	for _, sig := range s.waiting {
		s.send(w, sig)
	}
	s.waiting = nil
}

func (s *Supervisor) send(w Worker, sig os.Signal) {
	if err := w.Signal(sig); err != nil {
		s.opts.Log.Error("signal not passed on", "signal", sig.String(), "error", err)
	}
}

// pause waits for the time of the next worker, or for a stop. A stop needs one
// at once.
func (s *Supervisor) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for s.stop == nil {
		select {
		case <-timer.C:
			return
		case sig := <-s.opts.Signals:
			s.take(sig)
		}
	}
}
