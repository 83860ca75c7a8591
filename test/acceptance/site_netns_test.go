//go:build netns

package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// site is a network with a director for evenkeel to run on.
type site struct {
	t    *testing.T
	top  *lab.Topology
	path string // of the program
	dir  string
	pins string
	sock string
	file string // the configuration
}

type builder func(*lab.Lab, int) (*lab.Topology, error)

// newSite builds a network with so many servers, on which nothing runs yet.
func newSite(t *testing.T, build builder, servers int) *site {
	t.Helper()
	top, err := build(labtest.New(t), servers)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return &site{
		t: t, top: top, path: program(t, "1"), dir: dir,
		pins: filepath.Join(labtest.BPFFS(t), "evenkeel"),
		sock: filepath.Join(dir, "run", "ek.sock"),
		file: filepath.Join(dir, "keepalived.conf"),
	}
}

// in returns the site for the use of a subtest.
func (s *site) in(t *testing.T) *site {
	c := *s
	c.t = t
	return &c
}

func (s *site) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// server returns the address of a port of server i, counted from 0.
func (s *site) server(i int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(s.top.ServerAddr(i), port)
}

// servers writes server entries for servers from to before end, with one port
// and the same lines.
func (s *site) servers(from, end int, port uint16, lines ...string) []serverConf {
	var list []serverConf
	for i := from; i < end; i++ {
		list = append(list, serverConf{s.server(i, port), lines})
	}
	return list
}

// args returns a command line with the flags that name this site's files.
func (s *site) args(args ...string) []string {
	switch args[0] {
	case "run":
		return append(args, "-f", s.file, "--socket", s.sock, "--pin-dir", s.pins)
	case "check":
		return append(args, "-f", s.file)
	case "reload":
		return append(args, "--socket", s.sock)
	default:
		return append(args, "--socket", s.sock, "--pin-dir", s.pins)
	}
}

// call runs a command on the director to its end.
func (s *site) call(args ...string) labtest.Outcome {
	s.t.Helper()
	return labtest.Run(s.t, s.top.Director, exec.Command(s.path, s.args(args...)...))
}

// want runs a command whose exit code must be as given.
func (s *site) want(code int, args ...string) labtest.Outcome {
	s.t.Helper()
	got := s.call(args...)
	if got.Code != code {
		s.t.Fatalf("evenkeel %v: exit code %d, want %d\n%s%s", args, got.Code, code, got.Stdout, got.Stderr)
	}
	return got
}

// start starts a daemon with more flags and waits until it answers.
func (s *site) start(flags ...string) *labtest.Process {
	s.t.Helper()
	p := labtest.Start(s.t, s.top.Director, exec.Command(s.path, append(s.args("run"), flags...)...))
	labtest.Until(s.t, "the daemon answers", func() bool {
		if p.Ended() {
			s.t.Fatalf("the daemon ended:\n%s", p.Log())
		}
		return s.call("status").Code == 0
	})
	return p
}

// read runs a command that prints JSON.
func read[T any](s *site, args ...string) T {
	s.t.Helper()
	var value T
	out := s.want(0, append(args, "--json")...).Stdout
	if err := json.Unmarshal([]byte(out), &value); err != nil {
		s.t.Fatalf("evenkeel %v prints no JSON: %v\n%s", args, err, out)
	}
	return value
}

func (s *site) status() api.Status     { s.t.Helper(); return read[api.Status](s, "status") }
func (s *site) services() api.Services { s.t.Helper(); return read[api.Services](s, "services") }
func (s *site) flows() []api.Flow      { s.t.Helper(); return read[api.Flows](s, "services", "-c").Flows }

// service returns one service.
func (s *site) service(at netip.AddrPort) api.Service {
	s.t.Helper()
	for _, svc := range s.services().Services {
		if svc.Address == at.Addr().String() && svc.Port == at.Port() {
			return svc
		}
	}
	s.t.Fatalf("evenkeel services does not list %s", at)
	return api.Service{}
}

// alive waits until so many servers of a service are alive, in the table and
// have a next hop.
func (s *site) alive(at netip.AddrPort, servers int) {
	s.t.Helper()
	labtest.Until(s.t, fmt.Sprintf("%d servers of %s are ready", servers, at), func() bool {
		ready := 0
		for _, r := range s.service(at).Servers {
			if r.InTable && !r.Sorry && r.Health.Alive && r.NextHop.Resolved {
				ready++
			}
		}
		return ready == servers
	})
}

// pinned reports whether the pin directory exists.
func (s *site) pinned() bool {
	s.t.Helper()
	_, err := os.Stat(s.pins)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return err == nil
}

// echoing opens a connection to an echo service and uses it once.
func (s *site) echoing(at netip.AddrPort) net.Conn {
	s.t.Helper()
	c, err := s.top.Client.Dial(s.t.Context(), "tcp", at.String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := echoes(c); err != nil {
		s.t.Fatalf("echo by %s: %v", at, err)
	}
	return c
}

// echoTimeout is how long an echo that was lost is waited for.
const echoTimeout = 5 * time.Second

// echoes sends a few bytes and wants them back.
func echoes(c net.Conn) error { return echoesWithin(c, echoTimeout) }

func echoesWithin(c net.Conn, limit time.Duration) error {
	const text = "evenkeel"
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("%q came back as %q", text, back)
	}
	return nil
}
