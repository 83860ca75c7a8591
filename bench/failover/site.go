package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// site is the network: two directors and a client on a switch.
type site struct {
	lab       *lab.Lab
	lan       *lab.LAN
	directors [2]director
	client    *lab.Iface
	capture   *capture
	control   int // socket in the switch's namespace, for ioctls
	dir       string
	runs      int
	seat      *seat // of the run that goes on
	canary    *canary
}

type director struct {
	eth0 *lab.Iface
	port string // of the switch
	// index is that of the port.
	index int
}

const bridge = "br0"

func newSite(prefix string) (*site, error) {
	l, err := lab.New(prefix)
	if err != nil {
		return nil, err
	}
	s := &site{lab: l, control: -1}
	if err := s.build(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) build() (err error) {
	if s.dir, err = os.MkdirTemp("", "bench-failover-"); err != nil {
		return err
	}
	if s.lan, err = s.lab.AddLAN("lan"); err != nil {
		return err
	}
	var ports []int
	for n, name := range []string{"a", "b"} {
		d := &s.directors[n]
		if d.eth0, err = s.join(name, n+1); err != nil {
			return err
		}
		d.port = name + "-eth0"
		link, err := s.lan.Node().Netlink().LinkByName(d.port)
		if err != nil {
			return fmt.Errorf("find port %s: %w", d.port, err)
		}
		d.index = link.Attrs().Index
		ports = append(ports, d.index)
	}
	if s.client, err = s.join("client", 9); err != nil {
		return err
	}
	if s.capture, err = listen(s.lan.Node(), ports); err != nil {
		return err
	}
	return s.lan.Node().Do(func() (err error) {
		s.control, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
}

func (s *site) join(name string, number int) (*lab.Iface, error) {
	n, err := s.lab.AddNode(name)
	if err != nil {
		return nil, err
	}
	addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 90, 0, byte(number)}), lanBits)
	return s.lan.Join(n, lab.Port{Name: "eth0", Addrs: []netip.Prefix{addr}})
}

func (s *site) close() error {
	if s.capture != nil {
		s.capture.close()
	}
	if s.control >= 0 {
		unix.Close(s.control)
	}
	return errors.Join(s.lab.Close(), os.RemoveAll(s.dir))
}

// mac returns the Ethernet address of a director.
func (s *site) mac(director int) [6]byte { return [6]byte(s.directors[director].eth0.MAC) }

// runDir returns a folder for a run.
func (s *site) runDir() string {
	s.runs++
	return filepath.Join(s.dir, fmt.Sprintf("run%d", s.runs))
}

// setPort sets the switch's side of a director's link up or down. An ioctl takes
// microseconds, so the fault has a sharp time.
func (s *site) setPort(director int, up bool) error {
	ifr, err := unix.NewIfreq(s.directors[director].port)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s.control, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("read flags of %s: %w", ifr.Name(), err)
	}
	flags := ifr.Uint16() &^ unix.IFF_UP
	if up {
		flags |= unix.IFF_UP
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(s.control, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set %s up=%t: %w", ifr.Name(), up, err)
	}
	return nil
}

// setJoined puts a director's port into the switch or takes it out. The link
// keeps its carrier: the director does not notice.
func (s *site) setJoined(director int, joined bool) error {
	ifr, err := unix.NewIfreq(bridge)
	if err != nil {
		return err
	}
	ifr.SetUint32(uint32(s.directors[director].index))
	request := uint(unix.SIOCBRDELIF)
	if joined {
		request = unix.SIOCBRADDIF
	}
	if err := unix.IoctlIfreq(s.control, request, ifr); err != nil {
		return fmt.Errorf("set %s joined=%t: %w", s.directors[director].port, joined, err)
	}
	return nil
}

// restore undoes the faults and takes away the virtual addresses that a killed
// program left.
func (s *site) restore() error {
	var errs []error
	for n, d := range s.directors {
		errs = append(errs, s.setPort(n, true))
		if err := s.setJoined(n, true); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, err)
		}
		errs = append(errs, d.clean())
	}
	return errors.Join(errs...)
}

// clean removes all addresses but the director's own.
func (d director) clean() error {
	h := d.eth0.Node.Netlink()
	link, err := h.LinkByName(d.eth0.Name)
	if err != nil {
		return err
	}
	list, err := h.AddrList(link, unix.AF_INET)
	if err != nil {
		return err
	}
	var errs []error
	for i := range list {
		if a, _ := netip.AddrFromSlice(list[i].IP); a.Unmap() != d.eth0.Addr() {
			errs = append(errs, h.AddrDel(link, &list[i]))
		}
	}
	return errors.Join(errs...)
}

// await polls until ok, and says whether it came in time. What is measured
// comes from time stamps, never from here.
func await(ok func() bool, most time.Duration) bool {
	for end := time.Now().Add(most); !ok(); {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}
