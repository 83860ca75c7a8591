package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
)

// What the diff says is what the reload then does, from where the servers stand
// now: not from the start.
func TestDiffSaysWhatAReloadDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1, rs2))
		r.prober.set(rs2, true)
		r.run(t)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		r.take()
		heavier := virtual(vip, rs1, rs2)
		heavier.Servers[0].Weight, heavier.Servers[1].Weight = 3, 3
		r.file.set(&config.Config{Services: []model.VirtualServer{heavier, virtual("192.0.2.9:80", rs1)}}, nil)
		diff, err := r.source().Diff(t.Context(), "")
		if err != nil || diff.File != "/etc/ek.conf" || diff.Refused != "" || diff.Same() {
			t.Fatalf("diff = %+v, %v", diff, err)
		}
		if got := r.take(); len(got) > 0 {
			t.Errorf("a diff does %v", got)
		}
		var said []string
		for _, c := range diff.Changes {
			if c.Datapath != "" {
				said = append(said, c.Action+" "+c.Object)
			}
		}
		// The server that is down is in no table, so that its weight is no operation.
		want := []string{"edit server " + key1 + " " + rs1, "add service [192.0.2.9]:tcp:80", "add server [192.0.2.9]:tcp:80 " + rs1}
		if d := cmp.Diff(want, said); d != "" {
			t.Errorf("diff (-want +got):\n%s", d)
		}
		r.signals <- hangup
		synctest.Wait()
		var done []string
		for _, op := range ops(r.take()) {
			done = append(done, strings.Join(strings.Fields(op)[:min(len(strings.Fields(op)), len(strings.Fields(want[len(done)])))], " "))
		}
		if d := cmp.Diff(want, done); d != "" {
			t.Errorf("reload (-want +got):\n%s", d)
		}
		if diff, err = r.source().Diff(t.Context(), ""); err != nil || !diff.Same() {
			t.Errorf("diff after the reload = %+v, %v", diff, err)
		}
		bad := config.Diagnostic{Severity: config.Error, File: "/etc/ek.conf", Line: 3, Column: 1, Message: "no such thing"}
		r.file.set(&config.Config{Diagnostics: []config.Diagnostic{bad}}, nil)
		if diff, err = r.source().Diff(t.Context(), "/other"); err != nil || diff.Refused != bad.Error() || diff.File != "/other" || len(diff.Changes) > 0 {
			t.Errorf("diff of a bad file = %+v, %v", diff, err)
		}
		r.file.set(&config.Config{}, nil)
		if diff, err = r.source().Diff(t.Context(), ""); err != nil || diff.Refused != errNothingLeft.Error() {
			t.Errorf("diff of an empty file = %+v, %v", diff, err)
		}
		r.stop(t)
	})
}
