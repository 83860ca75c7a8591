package netif

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestAboutLocal holds SubscribeLocal to addresses and local routes, so that the
// routes of a router that learns them do not keep it busy.
func TestAboutLocal(t *testing.T) {
	route := func(kind byte) []byte {
		return []byte{unix.AF_INET, 32, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, kind, 0, 0, 0, 0}
	}
	for _, c := range []struct {
		what string
		kind uint16
		data []byte
		want bool
	}{
		{"a new address", unix.RTM_NEWADDR, nil, true},
		{"an address that goes", unix.RTM_DELADDR, nil, true},
		{"a new local route", unix.RTM_NEWROUTE, route(unix.RTN_LOCAL), true},
		{"a local route that goes", unix.RTM_DELROUTE, route(unix.RTN_LOCAL), true},
		{"a route elsewhere", unix.RTM_NEWROUTE, route(unix.RTN_UNICAST), false},
		{"a broadcast route", unix.RTM_DELROUTE, route(unix.RTN_BROADCAST), false},
		{"a route cut short", unix.RTM_NEWROUTE, route(unix.RTN_LOCAL)[:8], false},
	} {
		if got := aboutLocal(c.kind, c.data); got != c.want {
			t.Errorf("aboutLocal says %v of %s", got, c.what)
		}
	}
}
