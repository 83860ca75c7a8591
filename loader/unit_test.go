package loader

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
)

func TestPinNames(t *testing.T) {
	for ifname, want := range map[string]string{
		"eth0": "eth0", "eth0.100": "eth0%2e100", "50%": "50%25", "%2e": "%252e", "a.b%25": "a%2eb%2525",
	} {
		if got := pinName(ifname); got != want {
			t.Errorf("pin of %s is %s, want %s", ifname, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ifname := rapid.StringMatching(`[a-z0-9.%]{1,15}`).Draw(t, "name")
		pin := pinName(ifname)
		if strings.Contains(pin, ".") || ifName(pin) != ifname {
			t.Fatalf("pin of %q is %q, which is of %q", ifname, pin, ifName(pin))
		}
	})
}

func TestCopiesHavePlacesForAllFlows(t *testing.T) {
	for flows, want := range map[uint32]int{
		0: 5, 64: 5, 65: 6, 1 << 10: 9, 1<<10 + 1: 10, 1 << 18: 17, 300_000: 18, 1 << 20: 19, 1 << 22: 21, 1 << 23: 21,
	} {
		if got := copySets(flows); got != want {
			t.Errorf("2^%d sets for %d flows, want 2^%d", got, flows, want)
		}
	}
	spec, err := bpf.LoadEk()
	if err != nil {
		t.Fatal(err)
	}
	if err := setCopies(spec, copySets(1<<22)); err != nil {
		t.Fatal(err)
	}
	for _, sets := range []int{0, 1, bpf.MostSets + 1} {
		if err := setCopies(spec, sets); err == nil {
			t.Errorf("2^%d sets, which the program cannot reach, are taken", sets)
		}
	}
	four, six := spec.Maps[bpf.EkMapEkHot], spec.Maps[bpf.EkMapEkHot6]
	if four.MaxEntries != 1 || six.MaxEntries != 1 || four.ValueSize != 128<<21 || six.ValueSize != 512<<20 {
		t.Errorf("copies of 4 M flows: %v and %v, want two of 32 bytes and two of 64 a flow", four, six)
	}
}

func TestFlockHolder(t *testing.T) {
	const id = "00:27:61850"
	for line, want := range map[string]int{
		"1: FLOCK  ADVISORY  WRITE 719 00:27:61850 0 EOF":  719,
		"12: FLOCK  ADVISORY  WRITE -1 00:27:61850 0 EOF":  0, // in another pid namespace
		"2: FLOCK  ADVISORY  WRITE 719 00:27:6185 0 EOF":   -1,
		"3: POSIX  ADVISORY  WRITE 719 00:27:61850 0 EOF":  -1,
		"4: -> FLOCK  ADVISORY  WRITE 7 00:27:61850 0 EOF": -1, // waits for it
		"5: FLOCK  ADVISORY  WRITE many 00:27:61850 0 EOF": -1,
		"6: OFDLCK ADVISORY  WRITE -1 00:05:1 0 0":         -1,
		"": -1,
	} {
		pid, ok := flockHolder(line, id)
		if ok != (want >= 0) || ok && pid != want {
			t.Errorf("%q: holder %d, %t, want %d", line, pid, ok, want)
		}
	}
}

func TestJudgeKernel(t *testing.T) {
	for release, ok := range map[string]bool{
		"5.14.21": false, "5.15.0-1": true, "4.19.0": false, "6.1.0-56-amd64": true, "10.0": true, "weird": true,
	} {
		f := judgeKernel(release)
		if f.OK != ok || (f.Fix == "") != ok || !strings.Contains(f.Found, release) {
			t.Errorf("kernel %s: %+v, want ok %t with a fix if not", release, f, ok)
		}
	}
}

func TestJudgePrivileges(t *testing.T) {
	status := func(effective string) string {
		return "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t" + effective + "\nCapBnd:\t000001ffffffffff\n"
	}
	for effective, missing := range map[string]string{
		"000001ffffffffff": "",
		"000000c000001000": "", // exactly CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF
		"0000000000201000": "", // CAP_SYS_ADMIN stands for those two
		"0000000000000000": "CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON",
		"000000c000000000": "CAP_NET_ADMIN",
		"0000004000001000": "CAP_BPF",
		"0000008000001000": "CAP_PERFMON",
		"nonsense":         "CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON",
	} {
		f := judgePrivileges(status(effective))
		if f.OK != (missing == "") || missing != "" && f.Found != "missing "+missing || (f.Fix == "") != f.OK {
			t.Errorf("capabilities %s: %+v, want missing %q", effective, f, missing)
		}
	}
}

func TestJudgeBPF(t *testing.T) {
	for found, err := range map[string]error{
		"the kernel makes BPF maps":                           nil,
		"the kernel has no BPF":                               fmt.Errorf("map create: %w", unix.ENOSYS),
		"the kernel refuses BPF in spite of the capabilities": fmt.Errorf("map create: %w (MEMLOCK may be too low)", unix.EPERM),
		"the kernel makes no BPF map: cannot allocate memory": fmt.Errorf("map create: %w", unix.ENOMEM),
	} {
		f := judgeBPF(err)
		if f.Found != found || f.OK != (err == nil) || !f.Needed || (f.Fix == "") != f.OK {
			t.Errorf("%v is judged %+v, want %q", err, f, found)
		}
	}
}

func TestProbeNamesTheFix(t *testing.T) {
	for _, f := range Probe(t.TempDir() + "/ek") {
		if f.Found == "" || (f.Fix == "") != f.OK {
			t.Errorf("fact %+v: want what was found, and a fix exactly when it is not ok", f)
		}
		if strings.ContainsRune(f.Found+f.Fix, '\n') {
			t.Errorf("fact %+v has more than a line", f)
		}
		if f.Kind == FactBPFFS && (f.OK || !strings.Contains(f.Fix, "mount -t bpf bpf ")) {
			t.Errorf("a plain directory is judged %+v", f)
		}
	}
	if f := probeBTF("/none"); f.OK || f.Needed || f.Fix == "" {
		t.Errorf("missing BTF is judged %+v", f)
	}
	err := firstProblem([]Fact{{Kind: FactBTF, Found: "a"}, {Kind: FactKernel, Needed: true, OK: true}, {Kind: FactBPFFS, Needed: true, Found: "found", Fix: "fix"}})
	if unfit, ok := errors.AsType[*UnfitError](err); !ok || unfit.Fact.Kind != FactBPFFS || !strings.Contains(err.Error(), "found; fix") {
		t.Errorf("first problem is %v", err)
	}
}

func TestDefaults(t *testing.T) {
	o := Options{Flows: 1001, Timeouts: lbmaps.Timeouts{lbmaps.UDP: time.Second}}.withDefaults()
	if o.Dir != DefaultDir || o.Flows != 1008 || o.Services != DefaultServices || o.Servers != DefaultServers || o.Log == nil {
		t.Errorf("defaults are %+v", o)
	}
	if o.Timeouts[lbmaps.UDP] != time.Second || o.Timeouts[lbmaps.Established] != 900*time.Second {
		t.Errorf("time-outs are %v", o.Timeouts)
	}
}

func TestSweepPause(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0:                      sweepInterval,
		time.Millisecond:       sweepInterval - time.Millisecond,
		sweepInterval / 4:      3 * (sweepInterval / 4),
		100 * time.Millisecond: 300 * time.Millisecond,
	} {
		if got := sweepPause(took); got < want || got > want+4 {
			t.Errorf("after a step of %s it waits %s, want %s", took, got, want)
		}
	}
}

// TestEveryMapIsPinned but the program's own variables and arguments: what is not would be
// empty after each start.
func TestEveryMapIsPinned(t *testing.T) {
	spec, err := sized(lbmaps.Limits{Services: 8, Servers: 64, Flows: 1024, Replies: 1024})
	if err != nil {
		t.Fatal(err)
	}
	for name := range spec.Maps {
		own := strings.HasPrefix(name, ".") || name == bpf.EkMapEkSweepKeys
		if lbmaps.IsPinned(name) == own {
			t.Errorf("map %s: pinned is %t", name, !own)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	for want, err := range map[string]error{
		`interface eth0 already runs XDP program 12 "xdp_dispatcher"; detach it with `: &BusyError{Interface: "eth0", ProgramID: 12, Program: "xdp_dispatcher", Fix: "x"},
		"interface eth0 already runs another XDP program; ":                            &BusyError{Interface: "eth0"},
		"lock /d: another daemon holds the datapath (pid 7); stop it with ":            &RunningError{Dir: "/d", PID: 7},
		"lock /e: another daemon holds the datapath; stop it with evenkeel stop":       &RunningError{Dir: "/e"},
		"evenkeel stop": &IncompatibleError{Dir: "/d", Differences: []string{"a", "b"}},
	} {
		if got := err.Error(); !strings.Contains(got, want) || strings.ContainsRune(got, '\n') {
			t.Errorf("error is %q, want one line with %q", got, want)
		}
	}
}
