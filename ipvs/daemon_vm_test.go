//go:build vm

package ipvs

import (
	"context"
	"net/netip"
	"testing"
)

// syncing has daemons run, and in the end none.
func syncing(t *testing.T, v *IPVS, want ...SyncDaemon) {
	t.Helper()
	if err := v.SetSyncDaemons(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.SetSyncDaemons(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// The kernel's daemons are those that are wanted: both roles, with all that can be
// said of them, a change of role, and the end. Those of others stay, unless they
// are in the way.
func TestSyncDaemons(t *testing.T) {
	v := start(t, Options{})
	full := SyncDaemon{
		Role: SyncMaster, Interface: "lo", ID: 51, MaxLen: 1000, Port: 8900, TTL: 3, Group: netip.MustParseAddr("239.1.2.3"),
	}
	plain := SyncDaemon{Role: SyncBackup, Interface: "lo", ID: 7}
	for _, want := range [][]SyncDaemon{{full}, {full, plain}, {plain}, {{Role: SyncMaster, Interface: "lo", ID: 52}}, nil, {plain}} {
		if err := v.SetSyncDaemons(t.Context(), want...); err != nil {
			t.Fatal(err)
		}
		got, err := v.SyncDaemons(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("daemons are %+v, %v; want %+v", got, err, want)
		}
		for _, w := range want {
			if !hasDaemon(got, w) {
				t.Errorf("daemons are %+v; want %+v", got, w)
			}
		}
	}
	second := start(t, Options{})
	syncing(t, second, full)
	if got, err := v.SyncDaemons(t.Context()); err != nil || !hasDaemon(got, plain) || !hasDaemon(got, full) {
		t.Errorf("daemons of two are %+v, %v", got, err)
	}
	if err := v.SetSyncDaemons(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := v.SyncDaemons(t.Context()); err != nil || hasDaemon(got, plain) || !hasDaemon(got, full) {
		t.Errorf("after the end of one, daemons are %+v, %v", got, err)
	}
	if err := v.SetSyncDaemons(t.Context(), SyncDaemon{Role: SyncBackup, Interface: "none0"}); err == nil {
		t.Error("a daemon on an interface that is not there was started")
	}
}

func hasDaemon(all []SyncDaemon, want SyncDaemon) bool {
	for _, d := range all {
		if d.runs(want) {
			return true
		}
	}
	return false
}
