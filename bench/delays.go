package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
)

// load is the packets per second under which delays are measured: what each way should carry, for
// where packets come faster than they go the delay is how long one measures.
const load = 200_000

// delaysFor is how long one measurement of delays takes.
const delaysFor = 500 * time.Millisecond

// delays measures how long packets take at a given load, on the ways that forward.
func (w *wire) delays(ctx context.Context, list []subject, o Options) ([]figure.Figure, error) {
	var figures []figure.Figure
	for i, s := range list {
		if s.fresh || s.flows != 1<<10 || strings.HasPrefix(s.name, "XDP_") {
			continue // of each way that forwards, one
		}
		o.Progress("delays: "+s.name, i+1, len(list))
		each, err := w.delaysOf(ctx, s, o)
		if err != nil {
			return nil, fmt.Errorf("delays of %s: %w", s.name, err)
		}
		figures = append(figures, each...)
	}
	return figures, nil
}

// delaysOf measures one way: a short look says how many turns are enough.
func (w *wire) delaysOf(ctx context.Context, s subject, o Options) ([]figure.Figure, error) {
	each := make([]figure.Figure, len(percentiles()))
	for k, p := range percentiles() {
		name := fmt.Sprintf("%s, %d kpps: p%v", s.name, load/1000, p)
		each[k] = figure.Figure{Level: figure.Path, Name: name, Unit: "µs"}
	}
	live := drive.Live{Apart: time.Second / load}
	turns := o.turns(100_000)
	_, sent, err := w.delay(ctx, s, turns, live)
	if err != nil {
		return nil, err
	}
	if sent.Took > 0 {
		turns = o.turns(int(float64(turns) * float64(delaysFor) / float64(sent.Took)))
	}
	for range o.Rounds {
		d, sent, err := w.delay(ctx, s, turns, live)
		if err != nil {
			return nil, err
		}
		for k, p := range percentiles() {
			each[k].Values = append(each[k].Values, float64(d.Percentile(p))/1000)
			if note := behind(sent); note != "" {
				each[k].Note = note
			}
		}
	}
	return each, nil
}

// behind says how many packets a second were sent where that is less than the load: then the
// delays are those of a queue that grows.
func behind(sent drive.Sent) string {
	if each := sent.Each(); each > 1.05e9/load {
		return fmt.Sprintf("behind: %.0f kpps", 1e6/each)
	}
	return ""
}

func percentiles() []float64 { return []float64{50, 99, 99.9} }

// turns is how often a sender looks at the clock; few are enough to show that it works.
func (o Options) turns(n int) int {
	if o.Short {
		return 50_000
	}
	return n
}

// delay measures delays once: packets leave as live says.
func (w *wire) delay(ctx context.Context, s subject, turns int, live drive.Live) (d drive.Delays, sent drive.Sent, err error) {
	down, err := s.setUp(ctx)
	if err != nil {
		return d, sent, err
	}
	defer func() { err = errors.Join(err, down()) }()
	before, err := w.driver.Delays()
	if err != nil {
		return d, sent, err
	}
	live.Interface, live.Grown = w.client.Index, s.grown
	err = w.client.Node.Do(func() error {
		unpin, err := pinCPU()
		if err != nil {
			return err
		}
		defer unpin()
		if err := w.driver.SetLive(s.plan(), live); err != nil {
			return err
		}
		sent, err = w.driver.Send(turns, 1)
		return err
	})
	if err != nil {
		return d, sent, err
	}
	after, err := w.driver.Delays()
	return after.Since(before), sent, err
}
