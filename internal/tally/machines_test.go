package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCommandsOfAMachine(t *testing.T) {
	files := []testFile{
		{dir: "./a", tier: "vm", tests: []string{"TestOne", "TestXDPTwo", "TestXDPLongThree"}},
		{dir: "./b", tier: "vm", tests: []string{"TestCountedFour", "TestFive"}},
		{dir: "./bpf", tier: "bpf", tests: []string{"TestThree"}},
	}
	vm, err := selectTiers([]string{"vm"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range []machine{
		{lane: "fast", kernel: "uml", kinds: []kind{everywhere}},
		{lane: "normal", kernel: "6.1", kinds: []kind{everywhere, withJIT}, program: true},
		{lane: "normal", kernel: "6.1", kinds: []kind{withJIT}, short: true},
		{lane: "counted", kernel: "6.12", kinds: []kind{counted}},
	} {
		for _, c := range m.commands(vm[0], files, "/bin/guest") {
			got = append(got, strings.Join(c, " "))
		}
	}
	const fast = "test -json -count=1 -timeout=1h0m0s -exec=/bin/guest -lane fast -kernel uml -timeout 1h0m0s " + packed + " "
	const normal = "test -json -count=1 -timeout=1h0m0s -exec=/bin/guest -lane normal -kernel 6.1 -timeout 1h0m0s " + packed + " "
	want := []string{
		fast + "-tags=vm -run=^(TestOne)$ ./a",
		fast + "-tags=vm -run=^(TestFive)$ ./b",
		normal + "-tags=vm -run=^(TestOne|TestXDPTwo|TestXDPLongThree)$ ./a",
		normal + "-tags=vm -run=^(TestFive)$ ./b",
		normal + "-short -tags=bpf ./bpf",
		normal + "-short -tags=vm -run=^(TestXDPTwo)$ ./a",
		"test -json -count=1 -timeout=1h0m0s -exec=/bin/guest -lane counted -kernel 6.12 -timeout 1h0m0s " + packed +
			" -tags=vm -run=^(TestCountedFour)$ ./b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// A machine that cannot run here is a skip with an excuse; any other trouble is
// a failure.
func TestMachineOutOfReach(t *testing.T) {
	tests := []struct {
		status string
		want   outcome
	}{{"251", skipped}, {"250", failed}, {"1", failed}}
	for _, tt := range tests {
		t.Run(tt.status, func(t *testing.T) {
			t.Chdir(t.TempDir())
			script := "#!/bin/sh\necho 'no way to the archive'\nexit " + tt.status + "\n"
			if err := os.MkdirAll(filepath.Dir(guestProgram), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(guestProgram, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			got := runMachine(t.Context(), tier{name: "vm"}, machine{lane: "normal", kernel: "6.12"}, nil, &out)
			if len(got) != 1 || got[0].outcome != tt.want || !strings.HasPrefix(got[0].text, "no way to the archive") {
				t.Fatalf("results = %+v, want one %s", got, tt.want)
			}
			failUnexcusedSkips(got, excuses())
			if got[0].outcome != tt.want {
				t.Errorf("after the excuses: %s, want %s", got[0].outcome, tt.want)
			}
		})
	}
}
