package director_test

import (
	"testing"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

func weighed(v health.Verdict, w health.WeightChange) health.Verdict {
	v.Weight = w
	return v
}

// TestWeightsOfChecks: what a check says of the weight is an edit, counts for
// the quorum, and outlives a reload.
func TestWeightsOfChecks(t *testing.T) {
	conf := with(vs(rs(1, 10), rs(2, 1)), func(v *model.VirtualServer) { v.Quorum = 5 })
	d, change := director.New([]model.VirtualServer{conf}, director.ThisVersion())
	wantOps(t, "start", change, "+S +1 +2")
	stated := func(w int64) health.WeightChange { return health.WeightChange{Add: w, Stated: 1} }
	for _, s := range []struct {
		what        string
		verdict     health.Verdict
		ops, events string
	}{
		{"stated", weighed(up(1), stated(7)), "~1=7", "server weight"},
		{"the same again", weighed(up(1), stated(7)), "", ""},
		{"added", weighed(up(1), health.WeightChange{Add: 5}), "~1=15", "server weight"},
		{"to nothing", weighed(up(1), stated(0)), "~1=0", "server weight, quorum lost"},
		{"down with a weight", weighed(down(1), stated(9)), "-1", "server down, server weight"},
		{"up with it", weighed(up(1), stated(9)), "+1", "server up, quorum gained"},
	} {
		c := d.Verdict(s.verdict)
		wantOps(t, s.what, c, s.ops)
		if got := eventsOf(c); got != s.events {
			t.Errorf("%s: events %q, want %q", s.what, got, s.events)
		}
	}
	wantOps(t, "reload of the same", d.Reload([]model.VirtualServer{conf}, director.ThisVersion()), "")
	if st := d.Snapshot().Services[0].Servers[0]; st.Weight != 10 || st.TableWeight != 9 {
		t.Errorf("status = %+v, want weight 10 and 9 in the table", st)
	}
	wantOps(t, "no change any more", d.Verdict(up(1)), "~1=10")
}
