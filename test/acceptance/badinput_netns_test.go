//go:build netns

package acceptance

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// nobody is a user without privileges.
const nobody = 65534

// TestBadInputStarts starts the daemon where it cannot run: one line says
// what is wrong and what to do, the exit code is that of docs/cli.md, and
// everything is as it was.
func TestBadInputStarts(t *testing.T) {
	const (
		unparsable, privilege, noBPF, badPins, running, badInterface, badSocket = 4, 10, 11, 12, 13, 14, 15
	)
	asIs := func(_ *site, cmd *exec.Cmd) *exec.Cmd { return cmd }
	in := func(way string) func(*site, *exec.Cmd) *exec.Cmd {
		return func(_ *site, cmd *exec.Cmd) *exec.Cmd { return confined(way, cmd) }
	}
	tests := []struct {
		name   string
		global string // a line of global_defs
		// arrange makes the circumstances.
		arrange func(*site, *exec.Cmd) *exec.Cmd
		code    int
		says    []string
	}{
		{"not a file", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			s.must(os.Remove(s.file))
			return cmd
		}, unparsable, []string{"keepalived.conf", "no such file"}},
		{"unparsable", "}", asIs, unparsable, []string{"keepalived.conf:3:1: error: ", `"}"`}},
		{"missing interface", "@evenkeel xdp_interface eth0 eth9", asIs, badInterface,
			[]string{"eth9 does not exist", "have: eth0, eth1", "correct the line `@evenkeel xdp_interface`"}},
		{"loopback", "@evenkeel xdp_interface eth0 lo", asIs, badInterface, []string{"lo", "no Ethernet"}},
		{"ordinary user", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			return cmd
		}, privilege, []string{"permission denied", "run as root"}},
		{"ordinary user with a socket", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			s.must(os.Mkdir(filepath.Dir(s.sock), 0o750))
			s.must(os.Chown(filepath.Dir(s.sock), nobody, nobody))
			s.must(os.Chmod(filepath.Dir(s.pins), 0o755))
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			return cmd
		}, privilege, []string{"missing CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON", "run as root"}},
		{"root without BPF", "", in(withoutBPFCapabilities), privilege, []string{"missing CAP_BPF, CAP_PERFMON", "run as root, or give the process these capabilities"}},
		{"root of a container", "", func(_ *site, cmd *exec.Cmd) *exec.Cmd {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{Size: 1 << 16}},
				GidMappings: []syscall.SysProcIDMap{{Size: 1 << 16}},
			}
			return cmd
		}, privilege, []string{"the kernel refuses BPF", "run as root of the machine, outside of user namespaces"}},
		{"kernel without BPF", "", in(withoutBPF), noBPF, []string{"the kernel has no BPF", "use a kernel with CONFIG_BPF_SYSCALL"}},
		{"no bpf file system", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			dir := filepath.Join(s.dir, "tmpfs")
			s.must(os.Mkdir(dir, 0o755))
			s.must(unix.Mount("evenkeel-acceptance", dir, "tmpfs", 0, ""))
			s.t.Cleanup(func() { s.must(unix.Unmount(dir, 0)) })
			cmd.Args = append(cmd.Args, "--pin-dir", filepath.Join(dir, "evenkeel"))
			return cmd
		}, badPins, []string{"no bpf file system on", "mount -t bpf bpf"}},
		{"somebody else's pins", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			s.must(os.Mkdir(s.pins, 0o755))
			s.must(os.Chown(s.pins, nobody, nobody))
			return cmd
		}, badPins, []string{"belongs to user 65534", "run as user 65534, or remove the directory"}},
		{"socket in a bad place", "", func(_ *site, cmd *exec.Cmd) *exec.Cmd {
			cmd.Args = append(cmd.Args, "--socket", "/proc/nothing/ek.sock")
			return cmd
		}, badSocket, []string{"/proc/nothing", "use another --socket"}},
		{"second daemon", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			s.start()
			return cmd
		}, running, []string{"another daemon (pid ", "evenkeel stop", "--socket"}},
		{"second daemon with another socket", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			s.start()
			cmd.Args = append(cmd.Args, "--socket", s.sock+"2")
			return cmd
		}, running, []string{"another daemon holds the datapath (pid ", "stop it with evenkeel stop, or use another --pin-dir"}},
		{"second daemon with its own everything", "", func(s *site, cmd *exec.Cmd) *exec.Cmd {
			s.start()
			cmd.Args = append(cmd.Args, "--socket", s.sock+"2", "--pin-dir", s.pins+"2")
			return cmd
		}, badInterface, []string{"eth0 already runs XDP program", `"ek_xdp"`, "detach it with `bpftool link detach id ", "@evenkeel xdp_interface"}},
		{"another program, native", "", occupied(unix.XDP_FLAGS_DRV_MODE), badInterface,
			[]string{"eth1 already runs XDP program", `"other"`, "detach it with `ip link set dev eth1 xdp off`"}},
		{"another program, generic", "", occupied(unix.XDP_FLAGS_SKB_MODE), badInterface,
			[]string{"eth1 already runs XDP program", `"other"`, "detach it with `ip link set dev eth1 xdpgeneric off`"}},
		{"another program by a link", "", occupiedByLink, badInterface,
			[]string{"eth1 already runs XDP program", `"other"`, "detach it with `bpftool link detach id "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, lab.NAT, 1)
			s.must(os.Chmod(filepath.Dir(s.dir), 0o755)) // for an ordinary user
			at := netip.AddrPortFrom(s.top.VIP, 80)
			s.write(conf{global: []string{tt.global}, services: []serviceConf{{at: at, kind: "NAT", servers: s.servers(0, 1, 80)}}}.String())
			cmd := exec.Command(s.path, append(s.args("run"), "--log-level", "error")...)
			cmd = tt.arrange(s, cmd)
			before := s.traces()
			got := labtest.Run(t, s.top.Director, cmd)
			if got.Code != tt.code {
				t.Errorf("exit code %d, want %d", got.Code, tt.code)
			}
			if strings.Count(got.Stderr, "\n") != 1 || got.Stdout != "" {
				t.Errorf("not one line:\n%s%s", got.Stderr, got.Stdout)
			}
			for _, want := range tt.says {
				if !strings.Contains(got.Stderr, want) {
					t.Errorf("%q does not say %q", got.Stderr, want)
				}
			}
			if diff := cmp.Diff(before, s.traces()); diff != "" {
				t.Errorf("the start left traces (-before +after):\n%s", diff)
			}
		})
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// otherProgram loads an XDP program that is not evenkeel's.
func (s *site) otherProgram() *ebpf.Program {
	s.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "other", Type: ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	s.must(err)
	s.t.Cleanup(func() { p.Close() })
	return p
}

// occupied puts another program on eth1 through netlink.
func occupied(mode int) func(*site, *exec.Cmd) *exec.Cmd {
	return func(s *site, cmd *exec.Cmd) *exec.Cmd {
		p := s.otherProgram()
		s.must(s.top.Director.Do(func() error {
			eth1, err := netlink.LinkByName("eth1")
			if err != nil {
				return err
			}
			return netlink.LinkSetXdpFdWithFlags(eth1, p.FD(), mode)
		}))
		return cmd
	}
}

// occupiedByLink puts another program on eth1 through a BPF link.
func occupiedByLink(s *site, cmd *exec.Cmd) *exec.Cmd {
	p := s.otherProgram()
	s.must(s.top.Director.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: s.top.ServerSide.Index})
		if err == nil {
			s.t.Cleanup(func() { l.Close() })
		}
		return err
	}))
	return cmd
}

// traces is what a start can leave behind.
type traces struct {
	Files     []string // pins, and what is beside the configuration
	Programs  map[string]uint32
	Processes string // in the director's namespace
}

func (s *site) traces() traces {
	s.t.Helper()
	found := traces{Programs: map[string]uint32{}}
	for _, root := range []string{filepath.Dir(s.pins), s.dir} {
		s.must(filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			// The lock beside a socket stays: it is taken, not made.
			if path != filepath.Dir(s.sock) && !strings.HasSuffix(path, ".lock") {
				found.Files = append(found.Files, path)
			}
			return err
		}))
	}
	links, err := s.top.Director.Netlink().LinkList()
	s.must(err)
	for _, l := range links {
		if xdp := l.Attrs().Xdp; xdp != nil && xdp.Attached {
			found.Programs[l.Attrs().Name] = xdp.ProgId
		}
	}
	pids, err := exec.Command("ip", "netns", "pids", s.top.Director.Namespace()).Output()
	s.must(err)
	found.Processes = string(pids)
	return found
}

// TestBadInputFiles reads files with one mistake each: check names it with
// its place and what to do; a daemon starts with the rest of the file or not at
// all; a reload takes over all of it or nothing.
func TestBadInputFiles(t *testing.T) {
	s := newSite(t, lab.DR, 2)
	sound := func(weight int) serviceConf {
		return serviceConf{at: netip.AddrPortFrom(s.top.VIP, 80), kind: "DR", servers: s.servers(0, 2, 80, fmt.Sprintf("weight %d", weight))}
	}
	vip := s.top.VIP
	tests := []struct {
		name string
		bad  string // stands behind the sound service
		code int    // of check and of run; of a reload it is 0 or 5
		// line, within bad, column and words are of the one complaint.
		line, column int
		says         []string
		services     []string // that a daemon that starts with the file runs
	}{
		{"unparsable", service(vip, 81, "real_server 10.77.1.11 81 {"), 4, 1, 31, []string{"error", "never closed", `write the "}"`}, nil},
		{"unknown keyword", service(vip, 81, "delay_lop 3", "real_server 10.77.1.11 81 { }"), 0, 5, 1,
			[]string{"warning", `"delay_lop" is not known`, "the line is ignored", `did you mean "delay_loop"`}, []string{":80", ":81"}},
		{"duplicate service", service(vip, 80, "real_server 10.77.1.12 80 { }"), 5, 1, 1,
			[]string{"error", "is there already, at", ":4:1", "put the real servers into one block"}, []string{":80"}},
		{"port 0", service(vip, 0, "real_server 10.77.1.11 0 { }"), 0, 1, 1,
			[]string{"warning", "every port (port 0)", "write the port after the address"}, []string{":80"}},
		{"no such port", service(vip, 70000, "real_server 10.77.1.11 80 { }"), 5, 1, 28,
			[]string{"error", `"70000" is not a port`, "a port from 1 to 65535"}, []string{":80"}},
		{"weight -1", service(vip, 81, "real_server 10.77.1.11 81 { }", "real_server 10.77.1.12 81 {", "weight -1", "}"), 5, 7, 8,
			[]string{"error", `weight "-1" is not a whole number`, "the real server is left out", "weight 0"}, []string{":80", ":81"}},
		{"server equal to the VIP", service(vip, 81, "real_server 10.77.1.11 81 { }", fmt.Sprintf("real_server %s 81 { }", vip)), 5, 6, 1,
			[]string{"error", "is the virtual server itself", "write the server's own address"}, []string{":80", ":81"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			before := conf{services: []serviceConf{sound(7)}}.String()
			bad := before + tt.bad
			place := fmt.Sprintf("%s:%d:%d", s.file, strings.Count(before, "\n")+tt.line, tt.column)
			about := func(text string) { t.Helper(); s.oneLine(text, place, tt.says) }

			s.write(bad)
			about(s.want(tt.code, "check").Stdout)
			if tt.code == 0 {
				about(s.want(5, "check", "--strict").Stdout)
			}

			// A reload.
			s.write(conf{services: []serviceConf{sound(1)}}.String())
			d := s.start()
			running := s.table()
			s.write(bad)
			if tt.code == 0 {
				s.want(0, "reload")
			} else {
				about(s.want(5, "reload").Stderr)
				if diff := cmp.Diff(running, s.table()); diff != "" {
					t.Errorf("a refused reload changed (-before +after):\n%s", diff)
				}
			}
			d.End(syscall.SIGTERM)

			// A start.
			if tt.code == 4 {
				about(s.want(4, "run").Stderr)
				return
			}
			d = s.start()
			got := s.table()
			var ports []string
			for _, line := range got {
				name, _, _ := strings.Cut(line, " by ")
				ports = append(ports, name)
			}
			if ports = slices.Compact(ports); !slices.Equal(ports, tt.services) {
				t.Errorf("a start with this file runs %v, want %v", got, tt.services)
			}
			if n := strings.Count(d.Log(), "msg=configuration"); n != 1 || !strings.Contains(d.Log(), place) {
				t.Errorf("the log has %d lines about the file, want one that says %s:\n%s", n, place, d.Log())
			}
			d.End(syscall.SIGTERM)
		})
	}
}

// service writes a block without indentation, so that a column is easily
// named; its own lines are from the fifth on.
func service(vip netip.Addr, port int, lines ...string) string {
	return fmt.Sprintf("virtual_server %s %d {\nprotocol TCP\nlb_algo rr\nlb_kind DR\n%s\n}\n", vip, port, strings.Join(lines, "\n"))
}

// oneLine wants one line of text to complain, at this place and in these words.
func (s *site) oneLine(text, place string, says []string) {
	s.t.Helper()
	var complaint string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, ": error: ") && !strings.Contains(line, ": warning: ") {
			continue
		}
		if complaint != "" {
			s.t.Errorf("more than one line complains:\n%s", text)
		}
		complaint = line
	}
	for _, want := range append([]string{place + ": "}, says...) {
		if !strings.Contains(complaint, want) {
			s.t.Errorf("%q does not say %q", complaint, want)
		}
	}
}

// table returns what runs in XDP: ":80 by 10.77.1.11 weight 1".
func (s *site) table() []string {
	s.t.Helper()
	var list []string
	for _, svc := range s.services().Services {
		for _, r := range svc.Servers {
			if svc.Datapath == "xdp" && r.InTable {
				list = append(list, fmt.Sprintf(":%d by %s weight %d", svc.Port, r.Address, r.Weight))
			}
		}
	}
	slices.Sort(list)
	return list
}
