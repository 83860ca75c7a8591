package loader

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wantSame compares values that hold addresses.
func wantSame[T any](t testing.TB, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("got what differs from what is wanted (-want +got):\n%s", diff)
	}
}
