package vrrp

import "time"

// Alarm wakes a Loop. Set may be called while Wait waits.
type Alarm interface {
	// Set makes Wait return when d has passed, and not at an earlier deadline.
	// Zero or less: at once.
	Set(d time.Duration)
	// Wait waits for the deadline. It returns false once the Alarm is closed.
	Wait() bool
	// Close ends Wait.
	Close()
}

// timerAlarm is the runtime's.
type timerAlarm struct {
	timer  *time.Timer
	closed chan struct{}
}

func newTimerAlarm() *timerAlarm {
	a := &timerAlarm{time.NewTimer(time.Hour), make(chan struct{})}
	a.timer.Stop()
	return a
}

func (a *timerAlarm) Set(d time.Duration) { a.timer.Reset(d) }

func (a *timerAlarm) Wait() bool {
	select {
	case <-a.timer.C:
		return true
	case <-a.closed:
		return false
	}
}

func (a *timerAlarm) Close() {
	a.timer.Stop()
	close(a.closed)
}
