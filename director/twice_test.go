package director_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

// TestServerTwice: of two servers of one address the first runs.
func TestServerTwice(t *testing.T) {
	_, change := director.New([]model.VirtualServer{vs(rs(1, 1), rs(2, 1), rs(1, 5))}, director.ThisVersion())
	var got []string
	for _, op := range change.Ops() {
		got = append(got, op.String())
	}
	want := []string{
		"add service [192.0.2.1]:tcp:80 rr",
		"add server [192.0.2.1]:tcp:80 10.0.0.1:80 NAT weight 1",
		"add server [192.0.2.1]:tcp:80 10.0.0.2:80 NAT weight 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}
