//go:build netns

package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// check stops the test on an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get asks for / over HTTP and returns the body.
func get(t *testing.T, c *http.Client, addr netip.AddrPort) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+"/", nil)
	check(t, err)
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// TestTopologies builds each network and checks what a balancer relies on: the
// client reaches the director's VIP and nobody else answers for it, the
// director reaches every server, and, in the NAT networks, servers reach the
// client through the director.
func TestTopologies(t *testing.T) {
	tests := []struct {
		name  string
		build func(*lab.Lab, int) (*lab.Topology, error)
		nat   bool
		ifs   int // interfaces of the director
	}{
		{"DR", lab.DR, false, 1},
		{"NAT", lab.NAT, true, 2},
		{"OneArmNAT", lab.OneArmNAT, true, 1},
		{"TwoInterfaceDR", lab.TwoInterfaceDR, false, 2},
		{"Both", lab.Both, true, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top, err := tt.build(labtest.New(t), 2)
			check(t, err)
			if one := top.ClientSide == top.ServerSide; one != (tt.ifs == 1) {
				t.Errorf("director has one interface: %t, want %d", one, tt.ifs)
			}
			at := netip.AddrPortFrom(top.VIP, 80)
			_, err = top.Director.ServeHTTP(at.String(), says("director"))
			check(t, err)
			if body, err := get(t, top.Client.HTTPClient(), at); err != nil || body != "director" {
				t.Errorf("client got %q, %v from the VIP, want the director", body, err)
			}
			if top.DRVIP.IsValid() {
				checkBeside(t, top)
			}
			for i, s := range top.Servers {
				at := netip.AddrPortFrom(top.ServerAddr(i), 80)
				_, err := s.ServeHTTP(at.String(), says(s.Name()))
				check(t, err)
				if body, err := get(t, top.Director.HTTPClient(), at); err != nil || body != s.Name() {
					t.Errorf("director got %q, %v from %s, want its name", body, err, s.Name())
				}
				checkReply(t, top, s, tt.nat)
			}
		})
	}
}

// checkReply checks the way back: a NAT server must reach the client, and a DR
// server must be able to use the VIP as its source.
func checkReply(t *testing.T, top *lab.Topology, s *lab.Node, nat bool) {
	t.Helper()
	at := netip.AddrPortFrom(top.ClientIf.Addr(), 9000)
	echo, err := top.Client.ServeTCPEcho(at.String())
	check(t, err)
	defer echo.Close()
	if nat {
		// The client knows the servers' network only for this check: in the
		// plan nothing but the VIP is between them.
		back := netip.PrefixFrom(top.ServerAddr(0), 24).Masked()
		check(t, top.Client.SetRoute(back, netip.MustParseAddr("10.77.1.1")))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := s.Dial(ctx, "tcp", at.String())
		if err != nil {
			t.Errorf("%s cannot reach the client: %v", s.Name(), err)
			return
		}
		c.Close()
		return
	}
	l, err := s.Listen("tcp", netip.AddrPortFrom(top.VIP, 81).String())
	if err != nil {
		t.Errorf("%s does not own the VIP: %v", s.Name(), err)
		return
	}
	l.Close()
	mac := neighbour(t, top.Client, top.VIP)
	if mac != top.ClientSide.MAC.String() {
		t.Errorf("client sends to the VIP at %s, want the director's %s", mac, top.ClientSide.MAC)
	}
}

// checkBeside checks the second virtual address: the director answers for it,
// and the servers own it.
func checkBeside(t *testing.T, top *lab.Topology) {
	t.Helper()
	at := netip.AddrPortFrom(top.DRVIP, 80)
	_, err := top.Director.ServeHTTP(at.String(), says("director"))
	check(t, err)
	if body, err := get(t, top.Client.HTTPClient(), at); err != nil || body != "director" {
		t.Errorf("client got %q, %v from the DR VIP, want the director", body, err)
	}
	for _, s := range top.Servers {
		l, err := s.Listen("tcp", netip.AddrPortFrom(top.DRVIP, 81).String())
		if err != nil {
			t.Errorf("%s does not own the DR VIP: %v", s.Name(), err)
			continue
		}
		l.Close()
	}
	if mac := neighbour(t, top.Client, top.DRVIP); mac != top.ServerSide.MAC.String() {
		t.Errorf("client sends to the DR VIP at %s, want the director's %s", mac, top.ServerSide.MAC)
	}
}

func neighbour(t *testing.T, n *lab.Node, addr netip.Addr) string {
	t.Helper()
	list, err := n.Netlink().NeighList(0, unix.AF_INET)
	check(t, err)
	for _, e := range list {
		if ip, _ := netip.AddrFromSlice(e.IP); ip.Unmap() == addr {
			return e.HardwareAddr.String()
		}
	}
	return "(none)"
}

func TestEcho(t *testing.T) {
	top, err := lab.DR(labtest.New(t), 1)
	check(t, err)
	at := netip.AddrPortFrom(top.ServerAddr(0), 7).String()
	tcp, err := top.Servers[0].ServeTCPEcho(at)
	check(t, err)
	_, err = top.Servers[0].ServeUDPEcho(at)
	check(t, err)
	for _, network := range []string{"tcp", "udp"} {
		c, err := top.Client.Dial(t.Context(), network, at)
		check(t, err)
		check(t, c.SetDeadline(time.Now().Add(5*time.Second)))
		_, err = io.WriteString(c, "hello")
		check(t, err)
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Errorf("%s echo = %q, %v", network, buf, err)
		}
		defer c.Close()
	}
	check(t, tcp.Close())
	if _, err := top.Client.Dial(t.Context(), "tcp", at); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dial after Close = %v, want refused", err)
	}
}

// TestNativeTransmit attaches a program to the director that sends every frame
// back. Without the stub on the switch's end all of them would be lost.
func TestNativeTransmit(t *testing.T) {
	top, err := lab.DR(labtest.New(t), 1)
	check(t, err)
	hairpin, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 3), asm.Return()}, // XDP_TX
	})
	check(t, err)
	defer hairpin.Close()
	check(t, top.Director.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: hairpin, Interface: top.ClientSide.Index, Flags: link.XDPDriverMode})
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		return nil
	}))

	fd := rawSocket(t, top.Client, top.ClientIf.Index)
	frame := make([]byte, 60)
	copy(frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) // the bridge brings it home as it is
	copy(frame[6:], top.ClientIf.MAC)
	frame[12], frame[13] = 0x88, 0xb5 // local experiments
	buf := make([]byte, 100)
	// The bridge may still be learning its new ports: one of several frames
	// must come back, where without the stub none would.
	check(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}))
	var n int
	for range 8 {
		check(t, unix.Send(fd, frame, 0))
		if n, err = unix.Read(fd, buf); err == nil {
			break
		}
	}
	if err != nil || string(buf[:n]) != string(frame) {
		t.Errorf("no frame came back: %d bytes, %v", n, err)
	}
}

// rawSocket opens a packet socket that hears frames of the experimental type.
func rawSocket(t *testing.T, n *lab.Node, ifindex int) (fd int) {
	t.Helper()
	proto := uint16(0xb588) // 0x88b5 in network order
	check(t, n.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
		return err
	}))
	t.Cleanup(func() { unix.Close(fd) })
	check(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifindex}))
	check(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	return fd
}

func TestOffloadsAndStub(t *testing.T) {
	top, err := lab.DR(labtest.New(t), 1)
	check(t, err)
	port, err := top.Lab.Node("lan").Netlink().LinkByName("director-eth0")
	check(t, err)
	if xdp := port.Attrs().Xdp; xdp == nil || !xdp.Attached || xdp.AttachMode != 1 {
		t.Errorf("switch port has XDP %+v, want a native program", xdp)
	}
	own, err := top.Director.Netlink().LinkByName("eth0")
	check(t, err)
	if xdp := own.Attrs().Xdp; xdp != nil && xdp.Attached {
		t.Error("the director's own interface is occupied")
	}
	if mac := own.Attrs().HardwareAddr.String(); mac != "02:00:0a:4d:01:01" {
		t.Errorf("address = %s, want it made of 10.77.1.1", mac)
	}
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Skip("skipped the rest: needs ethtool to read offloads back")
	}
	var out strings.Builder
	cmd := exec.Command("ethtool", "-k", "eth0")
	cmd.Stdout = &out
	check(t, top.Director.Run(cmd))
	for _, want := range []string{"tx-checksumming: off", "tcp-segmentation-offload: off",
		"generic-segmentation-offload: off", "generic-receive-offload: off", "tx-vlan-offload: off"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("ethtool does not say %q", want)
		}
	}
	check(t, top.ClientSide.SetGRO(true))
	out.Reset()
	cmd = exec.Command("ethtool", "-k", "eth0")
	cmd.Stdout = &out
	check(t, top.Director.Run(cmd))
	if !strings.Contains(out.String(), "generic-receive-offload: on") {
		t.Error("SetGRO(true) did not turn it on")
	}
}

func TestDoComesHome(t *testing.T) {
	l := labtest.New(t)
	n, err := l.AddNode("a")
	check(t, err)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := namespaceID(t)
	var inside string
	check(t, n.Do(func() error { inside = namespaceID(t); return nil }))
	if inside == before {
		t.Error("Do ran outside the node")
	}
	if after := namespaceID(t); after != before {
		t.Errorf("caller moved from %s to %s", before, after)
	}
	if err := n.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Do hid that the function did not return")
	}
	for range 20 { // a thread left inside would be found by one of these
		id := make(chan string)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			id <- namespaceID(t)
		}()
		if got := <-id; got != before {
			t.Fatalf("a thread was left in %s", got)
		}
	}
}

func namespaceID(t *testing.T) string {
	t.Helper()
	id, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return id
}

func TestStartKeepsMounts(t *testing.T) {
	l := labtest.New(t)
	n, err := l.AddNode("a")
	check(t, err)
	mounts, err := os.Readlink("/proc/self/ns/mnt")
	check(t, err)
	var out strings.Builder
	cmd := exec.Command("readlink", "/proc/self/ns/mnt", "/proc/self/ns/net")
	cmd.Stdout = &out
	check(t, n.Run(cmd))
	var inside string
	check(t, n.Do(func() error { inside = namespaceID(t); return nil }))
	if want := mounts + "\n" + inside + "\n"; out.String() != want {
		t.Errorf("child lives in %q, want %q", out.String(), want)
	}
}

func TestAddNodeTwice(t *testing.T) {
	l := labtest.New(t)
	_, err := l.AddNode("a")
	check(t, err)
	if _, err := l.AddNode("a"); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("second AddNode = %v, want an error that says it exists", err)
	}
}

// TestRemove: a node goes with its processes and links, the others stay, and one
// of its name can come.
func TestRemove(t *testing.T) {
	l := labtest.New(t)
	lan, err := l.AddLAN("lan")
	check(t, err)
	add := func(number byte) *lab.Node {
		t.Helper()
		n, err := l.AddNode(fmt.Sprintf("host%d", number))
		check(t, err)
		addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 1, number}), 24)
		_, err = lan.Join(n, lab.Port{Name: "eth0", Addrs: []netip.Prefix{addr}})
		check(t, err)
		return n
	}
	stays, goes := add(1), add(2)
	sleeper := exec.Command("sleep", "600")
	check(t, goes.Start(sleeper))
	for range 2 {
		check(t, goes.Remove())
		if err := goes.Remove(); err == nil {
			t.Error("a node was removed twice")
		}
		if l.Node("host2") != nil {
			t.Error("the lab still knows the node")
		}
		if _, err := lan.Node().Netlink().LinkByName("host2-eth0"); err == nil {
			t.Error("the switch still has the node's port")
		}
		goes = add(2)
		_, err = goes.ServeHTTP("10.77.1.2:80", says("here"))
		check(t, err)
		addrs, err := goes.Addrs()
		if err != nil || !slices.Contains(addrs, netip.MustParseAddr("10.77.1.2")) {
			t.Errorf("addresses of the new node = %v, %v", addrs, err)
		}
		body, err := get(t, stays.HTTPClient(), netip.MustParseAddrPort("10.77.1.2:80"))
		if err != nil || body != "here" {
			t.Errorf("the new node answers %q, %v", body, err)
		}
	}
	if err := sleeper.Wait(); err == nil {
		t.Error("the process outlived its node")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	labtest.NeedRoot(t)
	threads, links := goroutines(), ownLinks(t)
	l := labtest.New(t)
	dir := t.TempDir()
	check(t, l.MountBPFFS(dir))
	top, err := lab.NAT(l, 2)
	check(t, err)
	at := netip.AddrPortFrom(top.VIP, 7).String()
	_, err = top.Director.ServeTCPEcho(at)
	check(t, err)
	_, err = top.Director.ServeUDPEcho(at)
	check(t, err)
	_, err = top.Servers[0].ServeHTTP("0.0.0.0:80", says("x"))
	check(t, err)
	open, err := top.Client.Dial(t.Context(), "tcp", at) // forgotten by a careless test
	check(t, err)
	defer open.Close()
	child := exec.Command("sleep", "1000")
	check(t, top.Client.Start(child))
	held, err := os.Open(top.Client.Path()) // keeps the namespace, as a leak would
	check(t, err)
	defer held.Close()
	var inside *netlink.Handle
	check(t, top.Client.Do(func() (err error) { inside, err = netlink.NewHandle(); return err }))
	defer inside.Close()

	check(t, l.Close())
	check(t, l.Close())
	if _, err := inside.LinkByName("eth0"); err == nil {
		t.Error("a link is left in a namespace that somebody holds")
	}
	if err := child.Wait(); err == nil || child.ProcessState.Sys().(interface{ Signaled() bool }).Signaled() == false {
		t.Errorf("child ended with %v, want it killed", err)
	}
	checkGone(t, l.Prefix())
	if isBPFFS(t, dir) {
		t.Error("bpffs is still mounted")
	}
	if now := ownLinks(t); now != links {
		t.Errorf("links of the machine changed from %s to %s", links, now)
	}
	if left := goroutines() - threads; left > 0 {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines left:\n%s", left, buf[:runtime.Stack(buf, true)])
	}
	if _, err := l.AddNode("late"); err == nil {
		t.Error("AddNode after Close worked")
	}
	checkGone(t, l.Prefix())
}

// goroutines counts those that run code of package lab.
func goroutines() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "internal/lab.")
}

func ownLinks(t *testing.T) string {
	t.Helper()
	links, err := netlink.LinkList()
	check(t, err)
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	return strings.Join(names, " ")
}

func checkGone(t *testing.T, prefix string) {
	t.Helper()
	left, err := filepath.Glob("/run/netns/" + prefix + "-*")
	check(t, err)
	if len(left) > 0 {
		t.Errorf("namespaces left: %v", left)
	}
}

func isBPFFS(t *testing.T, dir string) bool {
	t.Helper()
	var st unix.Statfs_t
	check(t, unix.Statfs(dir, &st))
	return st.Type == unix.BPF_FS_MAGIC
}

// TestCleanAfterKill kills a program that has a lab, and cleans up after it.
func TestCleanAfterKill(t *testing.T) {
	labtest.NeedRoot(t)
	prefix := fmt.Sprintf("ektk%d", os.Getpid())
	dir := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), "LAB_VICTIM="+prefix, "LAB_VICTIM_DIR="+dir)
	out, err := victim.StdoutPipe()
	check(t, err)
	check(t, victim.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	var pid int
	if _, err := fmt.Sscanf(line, "child %d", &pid); err != nil {
		t.Fatalf("victim said %q", line)
	}
	child, err := unix.PidfdOpen(pid, 0)
	check(t, err)
	defer unix.Close(child)
	check(t, victim.Process.Kill())
	_ = victim.Wait()
	names, err := filepath.Glob("/run/netns/" + prefix + "-*")
	check(t, err)
	if len(names) == 0 || !isBPFFS(t, dir) {
		t.Fatalf("the victim left namespaces %v and bpffs %t, want both", names, isBPFFS(t, dir))
	}

	other, err := lab.New(prefix + "-other")
	check(t, err)
	defer other.Close()
	_, err = other.AddNode("a")
	check(t, err)

	check(t, lab.Clean(prefix))
	left, err := filepath.Glob("/run/netns/" + prefix + "-*")
	check(t, err)
	if len(left) != 1 || filepath.Base(left[0]) != prefix+"-other-a" {
		t.Errorf("left: %v, want only the other lab", left)
	}
	if isBPFFS(t, dir) {
		t.Error("bpffs is still mounted")
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(child), Events: unix.POLLIN}}, 0); n != 1 {
		t.Errorf("the victim's child still lives: %d, %v", n, err)
	}
	check(t, lab.Clean(prefix))
}

// TestVictim is the program that TestCleanAfterKill kills.
func TestVictim(t *testing.T) {
	prefix := os.Getenv("LAB_VICTIM")
	if prefix == "" {
		t.Skip("runs only inside TestCleanAfterKill")
	}
	l, err := lab.New(prefix)
	check(t, err)
	check(t, l.MountBPFFS(os.Getenv("LAB_VICTIM_DIR")))
	top, err := lab.DR(l, 1)
	check(t, err)
	child := exec.Command("sleep", "1000")
	check(t, top.Client.Start(child))
	fmt.Println("child", child.Process.Pid)
	// Until it is killed; a bare select would be a deadlock to Go.
	killed := make(chan os.Signal, 1)
	signal.Notify(killed, os.Interrupt)
	<-killed
}
