package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// sweepTimes makes a pass of the sweep, and returns the milliseconds on the CPU that all of
// it took, and the longest that the kernel did not pause. The caller's thread must be its
// own.
func sweepTimes(x *loader.XDP) (sum, most float64, err error) {
	err = x.SweepNow(func(piece func() error) error {
		began, err := threadTime()
		if err != nil {
			return err
		}
		if err := piece(); err != nil {
			return err
		}
		ended, err := threadTime()
		took := float64(ended-began) / float64(time.Millisecond)
		sum, most = sum+took, max(most, took)
		return err
	})
	return sum, most, err
}

// threadTime returns how long the calling thread was on a CPU.
func threadTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read the thread's time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// sweepDelays measures how long packets take at a given load with n flows in the table,
// in turns without the sweep and while it runs again and again.
func sweepDelays(ctx context.Context, n uint32, o Options) (figures []figure.Figure, err error) {
	o.Progress(fmt.Sprintf("delays with %s flows, beside the sweep", round(n)), 1, 1)
	w, err := newWire(ctx, n+n/8+1<<10, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	s := subject{name: "XDP DR", to: at(portOf(model.DR)), setUp: w.xdpWay, flows: n}
	if _, err := w.trial(ctx, s, pace{sends: sends{1, int(n)}, batch: 64}, 0); err != nil {
		return nil, err
	}
	still, swept := sweepFigures(n)
	for range o.Rounds {
		if err := w.delayInto(ctx, s, o, still); err != nil {
			return nil, err
		}
		stop := w.keepSweeping()
		err := w.delayInto(ctx, s, o, swept)
		if err = errors.Join(err, stop()); err != nil {
			return nil, err
		}
	}
	for i := range swept {
		swept[i].Beside, swept[i].Yardstick = "no sweep", still[i].Values
	}
	return append(still, swept...), nil
}

// sweepFigures returns an empty figure for each percentile, without and beside the sweep.
func sweepFigures(n uint32) (still, swept []figure.Figure) {
	for _, p := range percentiles() {
		f := figure.Figure{Level: figure.Scale, Unit: "µs"}
		name := fmt.Sprintf("delay of packets, %s flows, %d kpps: p%v", round(n), load/1000, p)
		f.Name = name + ", no sweep"
		still = append(still, f)
		f.Name = name + ", sweep always on"
		swept = append(swept, f)
	}
	return still, swept
}

// delayInto adds one measurement to the figures of the percentiles.
func (w *wire) delayInto(ctx context.Context, s subject, o Options, figures []figure.Figure) error {
	d, err := w.delay(ctx, s, o)
	if err != nil {
		return fmt.Errorf("delays of %s: %w", s.name, err)
	}
	for i, p := range percentiles() {
		figures[i].Values = append(figures[i].Values, float64(d.Percentile(p))/1000)
	}
	return nil
}

// keepSweeping sweeps without an end, wherever the scheduler puts it, until the function
// returned is called.
func (w *wire) keepSweeping() (stop func() error) {
	end, ended := make(chan struct{}), make(chan error, 1)
	errEnd := errors.New("enough")
	piece := func(piece func() error) error {
		select {
		case <-end:
			return errEnd
		default:
			return piece()
		}
	}
	go func() {
		var err error
		for err == nil {
			err = w.xdp.SweepNow(piece)
		}
		if errors.Is(err, errEnd) {
			err = nil
		}
		ended <- err
	}()
	return func() error {
		close(end)
		return <-ended
	}
}
