package process

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	stat := "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 200"
	status := "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	u, err := parseUsage(stat, status)
	if want := (Usage{CPU: 3 * time.Second, Resident: 1 << 20, Peak: 2 << 20}); err != nil || u != want {
		t.Errorf("%+v, %v, want %+v", u, err, want)
	}
	for _, bad := range []string{"", "7 (a) S 1 2", "7 (a) S 1 7 7 0 -1 4194560 100 0 0 0 x 50 0"} {
		if _, err := parseUsage(bad, status); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestFamily(t *testing.T) {
	if pid := os.Getpid(); !slices.Contains(Family(pid), pid) {
		t.Error("a process is none of its family")
	}
}
