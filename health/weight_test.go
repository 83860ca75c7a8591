package health

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

func TestWeightChangeApply(t *testing.T) {
	tests := []struct {
		change     WeightChange
		configured int32
		want       int32
	}{
		{WeightChange{}, 3, 3},
		{WeightChange{Add: 10, Stated: 1}, 3, 10},
		// Two misc_dynamic that say 10 and 20 add 7 and 17.
		{WeightChange{Add: 30, Stated: 2}, 3, 27},
		{WeightChange{Add: -2}, 3, 1},
		{WeightChange{Add: -9}, 3, 0},
		{WeightChange{Add: 0, Stated: 2}, 3, 0},
		{WeightChange{Add: 1 << 40}, 3, math.MaxInt32},
	}
	for _, tt := range tests {
		if got := tt.change.Apply(tt.configured); got != tt.want {
			t.Errorf("%+v applied to %d = %d, want %d", tt.change, tt.configured, got, tt.want)
		}
	}
}

// weigher is an Examiner whose answers are set from outside.
type weigher struct{ answers [2]atomic.Pointer[Answer] }

func (w *weigher) Probe(ctx context.Context, c model.Check) error { return w.Examine(ctx, c).Err }

func (w *weigher) Examine(_ context.Context, c model.Check) Answer {
	return *w.answers[c.ConnectTo.Port()-80].Load()
}

func TestVerdictsCarryWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &weigher{}
		set := func(i int, a Answer) { w.answers[i].Store(&a) }
		stated := func(n int64) Answer { return Answer{Weight: WeightChange{Add: n, Stated: 1}} }
		set(0, Answer{})
		set(1, Answer{})
		a := model.Check{Kind: model.TCPCheck, DelayLoop: 10 * time.Second, Retry: 1, DelayBeforeRetry: time.Second}
		b := a
		b.ConnectTo = port81(target(1).Server)
		r, verdicts := start(t, []Target{target(1, a, b)}, Options{Prober: w, Random: middle})
		steps := []struct {
			name   string
			change func()
			want   string
		}{
			{"proof", func() {}, "true 0/0 answered"},
			{"a weight", func() { set(0, stated(10)) }, "true 10/1 answered"},
			{"the same weight", func() {}, ""},
			{"the second adds", func() { set(1, Answer{Weight: WeightChange{Add: -3}}) }, "true 7/1 answered"},
			{"a failure ends it", func() { set(0, Answer{Err: errRefused}) }, "false -3/0 connection refused (2 tries)"},
			{"weight of a server that is down", func() { set(1, stated(5)) }, "false 5/1 answered"},
			{"not tried leaves it", func() { set(1, Answer{Err: notTried("no")}) }, ""},
			{"up again", func() { set(0, stated(1)) }, "true 6/2 answered"},
			{"back to normal", func() { set(0, Answer{}); set(1, Answer{}) }, "true 0/0 answered"},
		}
		for _, s := range steps {
			s.change()
			time.Sleep(15 * time.Second)
			synctest.Wait()
			// Two checks can end in the same instant; the last verdict counts.
			got := ""
			for _, v := range verdicts() {
				_, reason, _ := strings.Cut(v.Reason, ": ")
				got = fmt.Sprintf("%v %d/%d %s", v.Up, v.Weight.Add, v.Weight.Stated, reason)
			}
			if got != s.want {
				t.Errorf("%s: last verdict %q, want %q", s.name, got, s.want)
			}
		}
		if got := r.Snapshot().Servers[0].Weight; got != (WeightChange{}) {
			t.Errorf("weight at the end %+v, want none", got)
		}
	})
}

// A check that goes takes its weight with it.
func TestUpdateTakesWeightBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &weigher{}
		w.answers[0].Store(&Answer{Weight: WeightChange{Add: 4}})
		c := model.Check{Kind: model.TCPCheck, DelayLoop: 10 * time.Second}
		r, verdicts := start(t, []Target{target(1, c)}, Options{Prober: w, Random: middle})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		verdicts()
		r.Update([]Target{target(1)})
		synctest.Wait()
		got := verdicts()
		if len(got) != 1 || got[0].Weight != (WeightChange{}) || got[0].Reason != "the check that changed the weight is no longer in the file" {
			t.Errorf("verdicts after the update %+v, want one without a weight", got)
		}
	})
}
