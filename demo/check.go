package demo

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/loader"
)

// UnfitError says what keeps the demo from running on this machine.
type UnfitError struct {
	// Problems are one line each, with the fix.
	Problems []string
}

// Error prints the first problem and how many more there are.
func (e *UnfitError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%s (and %d more)", e.Problems[0], len(e.Problems)-1)
}

// checkName refuses a name under which something else than a demo could be
// found, and removed.
func checkName(name string) error {
	if !regexp.MustCompile(`^` + DefaultName + `(-[a-z0-9]+)*$`).MatchString(name) {
		return fmt.Errorf("name the demo: %q is not %s, or that with a dash and lower-case letters or digits after it", name, DefaultName)
	}
	return nil
}

// checkPeer looks for the second director's program.
func checkPeer(p Peer) error {
	switch p {
	case PeerEvenkeel:
		return nil
	case PeerKeepalived:
		if _, err := exec.LookPath("keepalived"); err != nil {
			return &UnfitError{[]string{"keepalived is not installed: apt-get install keepalived"}}
		}
		return nil
	}
	return fmt.Errorf("choose the second director: %q is neither %s nor %s", p, PeerEvenkeel, PeerKeepalived)
}

// checkPrivileges looks at what the demo itself needs: namespaces and mounts.
// The rest is the daemon's business.
func checkPrivileges() error {
	if os.Geteuid() != 0 {
		return &UnfitError{[]string{"the demo makes network namespaces, which needs root: sudo evenkeel demo"}}
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	return judgePrivileges(string(status))
}

// judgePrivileges reads the effective set from the text of proc's status.
func judgePrivileges(status string) error {
	var effective uint64
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			// What is no number counts as no capability.
			_, _ = fmt.Sscanf(strings.TrimSpace(value), "%x", &effective)
		}
	}
	var problems []string
	for _, c := range []struct {
		name string
		bit  uint
		what string
	}{
		{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, "make network namespaces"},
		{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "make links and addresses"},
	} {
		if effective&(1<<c.bit) == 0 {
			problems = append(problems, fmt.Sprintf("%s is missing, so the demo cannot %s: in a container, add --cap-add=%s (or --privileged)",
				c.name, c.what, strings.TrimPrefix(c.name, "CAP_")))
		}
	}
	if len(problems) > 0 {
		return &UnfitError{problems}
	}
	return nil
}

// checkMachine looks at what the datapath needs, as evenkeel doctor does, and
// returns what it found, one line each.
func checkMachine(pins string) ([]string, error) {
	return judgeMachine(loader.Probe(pins))
}

func judgeMachine(facts []loader.Fact) (found []string, err error) {
	var problems []string
	for _, f := range facts {
		switch {
		case f.OK:
			found = append(found, "ok    "+f.Found)
		case f.Needed:
			problems = append(problems, f.Found+": "+f.Fix)
		default:
			found = append(found, "note  "+f.Found+": "+f.Fix)
		}
	}
	if len(problems) > 0 {
		return found, &UnfitError{problems}
	}
	return found, nil
}
