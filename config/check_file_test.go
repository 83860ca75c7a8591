package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

func TestFileCheck(t *testing.T) {
	const files = "track_file plain {\nfile /plain\n}\ntrack_file scaled {\nfile /scaled\nweight -3 reverse\n}\n"
	tests := []struct {
		lines string
		want  model.FileSpec
	}{
		{"track_file plain", model.FileSpec{TrackFile: "plain", Weight: 1}},
		{"track_file scaled", model.FileSpec{TrackFile: "scaled", Weight: -3, Reverse: true}},
		{"track_file scaled\nweight 0", model.FileSpec{TrackFile: "scaled"}},
		{"weight 2000000000 reverse\ntrack_file plain", model.FileSpec{TrackFile: "plain", Weight: 2_000_000_000, Reverse: true}},
		{"track_file scaled\nweight 5 noreverse", model.FileSpec{TrackFile: "scaled", Weight: 5}},
	}
	for _, tt := range tests {
		c := mustLoad(t, "virtual_server 192.0.2.1 80 {\nprotocol TCP\nalpha\nreal_server 198.51.100.1 80 {\nFILE_CHECK {\n"+tt.lines+"\n}\n}\n}\n"+files)
		if len(c.Services) != 1 || len(c.Services[0].Servers[0].Checks) != 1 {
			t.Fatalf("%q: %s", tt.lines, complaints(c.Diagnostics))
		}
		got := c.Services[0].Servers[0].Checks[0]
		if diff := cmp.Diff(&tt.want, got.File); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.lines, diff)
		}
		if got.Alpha || got.Warmup != 0 || got.Retry != 0 || got.ConnectTo.IsValid() {
			t.Errorf("%q: %+v", tt.lines, got)
		}
	}
}
