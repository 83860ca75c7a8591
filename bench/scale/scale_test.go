package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/config"
)

func TestConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(path, []byte(conf(size{services: 7, servers: 1000, loop: 3 * time.Second}, 9)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.Options{})
	if err != nil || len(c.Diagnostics) > 0 {
		t.Fatalf("load: %v, %v", err, c.Diagnostics)
	}
	if len(c.Services) != 7 {
		t.Errorf("%d services, want 7", len(c.Services))
	}
	n, changed := 0, 0
	for _, vs := range c.Services {
		for _, s := range vs.Servers {
			if number(s.Addr.Addr()) != n || server(n) != s.Addr.Addr() {
				t.Fatalf("server %d is %s", n, s.Addr)
			}
			if len(s.Checks) != 1 || s.Checks[0].DelayLoop != 3*time.Second || s.Checks[0].Warmup != warmup {
				t.Errorf("server %s: %+v", s.Addr, s.Checks)
			}
			if s.Weight == 9 {
				changed++
			}
			n++
		}
	}
	if n != 1000 || changed != 1 {
		t.Errorf("%d servers, %d of the other weight, want 1000 and 1", n, changed)
	}
}

func TestReport(t *testing.T) {
	r := report{plan: plan{size: size{services: 2, servers: 3}}, subjects: []series{
		{subject: subject{name: "keepalived"}, runs: []result{{Reload: 2, Operations: -1}}},
		{subject: subject{name: "evenkeel"}, runs: []result{{Reload: 0.5, Operations: 1}, {Reload: 0.25, Operations: 1}, {Reload: 0.125, Operations: 1}}},
	}}
	text := r.markdown()
	for _, want := range []string{
		"| reload with one changed weight | 2 s | 0.25 (0.125 to 0.5) s |",
		"| operations of the reload | not said | 1 |",
		"held in every run",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	r.subjects[0].runs = []result{{Every: 7}}
	r.subjects[0].failures = []string{"run 1: wait for the reload: not in 5m0s"}
	for _, want := range []string{"| start to the first check of every server | 7 s |", "| reload with one changed weight | - |", "keepalived, run 1: wait for the reload: not in 5m0s."} {
		if text := r.markdown(); !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	r.subjects[1].runs[0].Operations = 2
	if text := r.markdown(); !strings.Contains(text, "MISSED") {
		t.Errorf("two operations are no miss:\n%s", text)
	}
}
