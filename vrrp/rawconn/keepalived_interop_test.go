//go:build interop

package rawconn

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"github.com/evenkeel/evenkeel/vrrp"
)

// need returns the path of a program, or skips the test.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("skipped: needs %s", program)
	}
	return path
}

// keepalived runs keepalived on the station with one instance and returns its
// log, line by line. It is stopped at the end of the test.
func (s *station) keepalived(t *testing.T, instance string) <-chan string {
	t.Helper()
	path, dir := need(t, "keepalived"), t.TempDir()
	conf := filepath.Join(dir, "keepalived.conf")
	text := "global_defs {\n router_id T\n}\nvrrp_instance VI {\n interface eth0\n virtual_router_id 51\n" + instance + "}\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--dont-fork", "--log-console", "--log-detail", "--vrrp", "-f", conf,
		"-p", filepath.Join(dir, "pid"), "-r", filepath.Join(dir, "vrrp.pid"))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := s.node.Start(cmd); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Logf("stop keepalived: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Logf("keepalived ended: %v", err)
		}
	})
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			lines <- sc.Text()
		}
	}()
	return lines
}

// waitLog waits for a line with the text.
func waitLog(t *testing.T, log <-chan string, text string) {
	t.Helper()
	var seen []string
	for end := time.After(2 * patience); ; {
		select {
		case line, ok := <-log:
			if !ok {
				t.Fatalf("keepalived ended before %q:\n%s", text, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if strings.Contains(line, text) {
				return
			}
		case <-end:
			t.Fatalf("keepalived never wrote %q:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

// variant is one way to speak VRRP, in both programs' words.
type variant struct {
	name       string
	version    vrrp.Version
	ipv6       bool
	auth       vrrp.Auth
	virtualMAC bool
	peers      bool
	conf       string // of keepalived
}

const (
	vips4 = "virtual_ipaddress {\n 10.90.0.100/24\n}\n"
	vips6 = "virtual_ipaddress {\n fe80::5a:100/64\n fd5a::100/64\n}\n"
)

var variants = []variant{
	{name: "v2", version: vrrp.V2, conf: "version 2\n" + vips4},
	{name: "v2 PASS", version: vrrp.V2, auth: vrrp.Auth{Type: vrrp.AuthPass, Secret: "s3cretpw"},
		conf: "version 2\nauthentication {\n auth_type PASS\n auth_pass s3cretpw\n}\n" + vips4},
	{name: "v2 AH", version: vrrp.V2, auth: vrrp.Auth{Type: vrrp.AuthAH, Secret: "s3cretpw"},
		conf: "version 2\nauthentication {\n auth_type AH\n auth_pass s3cretpw\n}\n" + vips4},
	{name: "v3 IPv4", version: vrrp.V3, conf: "version 3\n" + vips4},
	{name: "v3 IPv6", version: vrrp.V3, ipv6: true, conf: "version 3\n" + vips6},
	{name: "v3 IPv4 unicast", version: vrrp.V3, peers: true, conf: "version 3\nunicast_peer {\n 10.90.0.1\n}\n" + vips4},
	{name: "v3 IPv6 unicast", version: vrrp.V3, ipv6: true, peers: true, conf: "version 3\nunicast_peer {\n fe80::1\n}\n" + vips6},
	{name: "v3 IPv4 virtual MAC", version: vrrp.V3, virtualMAC: true, conf: "version 3\n" + vips4},
	{name: "v3 IPv6 virtual MAC", version: vrrp.V3, ipv6: true, virtualMAC: true, conf: "version 3\n" + vips6},
}

// interval is a second, or what makes version 3 quick.
func (v variant) interval() string {
	if v.version == vrrp.V2 {
		return "advert_int 1\n"
	}
	return "advert_int 0.2\n"
}

// ours returns our side: the first station's, with the second as peer.
func (v variant) ours(hosts []*station) (Config, vrrp.Config) {
	cfg := multicast(v.ipv6)
	cfg.AuthHeader = v.auth.Type == vrrp.AuthAH
	if v.virtualMAC {
		cfg.VirtualMAC = MAC{0, 0, 0x5e, 0, 1, testVRID}
		if v.ipv6 {
			cfg.VirtualMAC[4] = 2
		}
	}
	advert := hosts[0].advert(v.version, v.ipv6)
	advert.Auth = v.auth
	if v.peers {
		peer := hosts[1].addr4
		cfg.Local = hosts[0].addr4
		if v.ipv6 {
			peer, cfg.Local = hosts[1].addr6, hosts[0].addr6
		}
		cfg.Multicast, advert.Peers = netip.Addr{}, []vrrp.Peer{{Addr: peer}}
	}
	return cfg, advert
}

// TestHearKeepalived receives and checks the adverts of a keepalived master.
func TestHearKeepalived(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			hosts := newLAN(t, 2, Options{})
			cfg, advert := v.ours(hosts)
			c := hosts[0].open(cfg)
			hosts[1].keepalived(t, "state MASTER\npriority 255\n"+v.interval()+v.conf)
			check := codec(t, advert)
			for range 2 {
				heard, err := check.Check(recv(t, c), netip.Addr{})
				if err != nil {
					t.Fatalf("Check = %v", err)
				}
				if heard.Priority != 255 || heard.OtherAddresses {
					t.Errorf("heard %+v", heard)
				}
			}
		})
	}
}

// TestKeepalivedHears makes a keepalived master yield to our adverts, and has
// tshark judge them.
func TestKeepalivedHears(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			hosts := newLAN(t, 2, Options{})
			cfg, advert := v.ours(hosts)
			capture := record(t, hosts[1], advert.Source)
			log := hosts[1].keepalived(t, "state BACKUP\npriority 100\n"+v.interval()+v.conf)
			waitLog(t, log, "Entering MASTER STATE")
			c := hosts[0].open(cfg)
			send := codec(t, advert)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for tick := time.NewTicker(200 * time.Millisecond); ; {
					if err := send.Encode(advert.Priority, c.Send); err != nil {
						t.Error(err)
					}
					select {
					case <-tick.C:
					case <-ctx.Done():
						return
					}
				}
			}()
			waitLog(t, log, "Entering BACKUP STATE")
			stop()
			<-done
			judge(t, capture(), advert.Source)
		})
	}
}

// record collects the frames on the station's link. The returned function ends
// that once there is an advert from src, and returns a capture file.
func record(t *testing.T, s *station, src netip.Addr) func() string {
	t.Helper()
	var conn *packet.Conn
	err := s.node.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, 3, nil) // ETH_P_ALL
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	file := le.AppendUint32(nil, 0xa1b2c3d4)
	file = le.AppendUint16(le.AppendUint16(file, 2), 4)
	file = le.AppendUint32(le.AppendUint64(file, 0), 65535)
	file = le.AppendUint32(file, 1) // Ethernet
	done, heard := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(done)
		for b := make([]byte, 65535); ; {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if isAdvert(b[:n], src) {
				select {
				case heard <- struct{}{}:
				default:
				}
			}
			file = le.AppendUint64(file, uint64(time.Now().Unix()))
			file = le.AppendUint32(le.AppendUint32(file, uint32(n)), uint32(n))
			file = append(file, b[:n]...)
		}
	}()
	return func() string {
		select {
		case <-heard:
		case <-time.After(patience):
		}
		conn.Close()
		<-done
		path := filepath.Join(t.TempDir(), "adverts.pcap")
		if err := os.WriteFile(path, file, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// isAdvert says whether an Ethernet frame carries VRRP, or AH, from src.
func isAdvert(frame []byte, src netip.Addr) bool {
	ethertype, protocol, source := []byte{0x08, 0x00}, 23, 26
	if src.Is6() {
		ethertype, protocol, source = []byte{0x86, 0xdd}, 20, 22
	}
	from := src.AsSlice()
	return len(frame) >= source+len(from) && bytes.Equal(frame[12:14], ethertype) &&
		(frame[protocol] == 112 || frame[protocol] == 51) && bytes.Equal(frame[source:source+len(from)], from)
}

// judge has tshark look at the adverts from src: none malformed, all checksums
// good. It only picks frames by filters, since what it prints of a field differs
// between releases.
func judge(t *testing.T, file string, src netip.Addr) {
	t.Helper()
	frames := func(filter string) []string {
		t.Helper()
		out, err := exec.Command(need(t, "tshark"), "-r", file, "-o", "ip.check_checksum:TRUE",
			"-Y", fmt.Sprintf("vrrp && !icmp && !icmpv6 && (ip.src == %s || ipv6.src == %s) && (%s)", orAny4(src), orAny6(src), filter),
			"-T", "fields", "-e", "frame.number").Output()
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		return strings.Fields(string(out))
	}
	all := frames("vrrp")
	if len(all) == 0 {
		t.Fatal("tshark found no advert")
	}
	bad := frames("_ws.malformed || _ws.expert || ip.checksum.status == 0 || !(vrrp.checksum.status == 1)")
	if len(bad) > 0 {
		t.Errorf("tshark: malformed, bad checksum, or remarked on: frames %v", bad)
	}
	t.Logf("tshark judged %d adverts", len(all))
}

// orAny4 and orAny6 return an address that never is when the family differs.
func orAny4(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	return netip.IPv4Unspecified()
}

func orAny6(a netip.Addr) netip.Addr {
	if a.Is6() {
		return a
	}
	return netip.IPv6Unspecified()
}
