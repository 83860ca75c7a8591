package vmac

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/netif"
)

// MAC is an Ethernet address.
type MAC = [6]byte

// Router returns the address that RFC 9568 section 7.3 gives to a virtual
// router.
func Router(vrid uint8, ipv6 bool) MAC {
	if ipv6 {
		return MAC{0x00, 0x00, 0x5e, 0x00, 0x02, vrid}
	}
	return MAC{0x00, 0x00, 0x5e, 0x00, 0x01, vrid}
}

// Interface is a macvlan that is wanted.
type Interface struct {
	// Name has at most 15 characters.
	Name   string
	Parent string
	MAC    MAC
	// IPv6 says that IPv6 addresses will be on it. Without it the interface
	// speaks no IPv6.
	IPv6 bool
}

// alias marks interfaces that were made here, for who finds them later.
const alias = "evenkeel virtual router"

// Manager makes and removes interfaces. Its methods may be called from several
// goroutines; they wait for the kernel.
type Manager struct {
	kernel *netif.Kernel
	handle *netlink.Handle

	mu    sync.Mutex // guards the fields below
	made  map[string]Interface
	saved map[string]string // settings as they were, by path
	// promote are the links of Promote.
	promote []string
}

// New returns a Manager for the namespace of k, which stays the caller's to
// close.
func New(k *netif.Kernel) (*Manager, error) {
	m := &Manager{kernel: k, made: make(map[string]Interface), saved: make(map[string]string)}
	err := k.Do(func() (err error) {
		m.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return m, nil
}

// Close closes the sockets. Interfaces and settings stay.
func (m *Manager) Close() error { return m.handle.Close() }

// Ensure makes the interface and sets it up, unless it is there as wanted. One
// that an earlier process made otherwise is made anew. The error says what is in
// the way, such as a parent that does not exist, or an interface of that name
// that is somebody else's.
func (m *Manager) Ensure(want Interface) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ensure(want); err != nil {
		return fmt.Errorf("make virtual MAC interface %s on %s: %w", want.Name, want.Parent, err)
	}
	return nil
}

func (m *Manager) ensure(want Interface) error {
	parent, err := m.kernel.LinkByName(want.Parent)
	if err != nil {
		return err
	}
	link, err := m.handle.LinkByName(want.Name)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		link = nil
	case err != nil:
		return err
	case !right(link, parent.Index, want):
		if err := m.removeOurs(link); err != nil {
			return err
		}
		link = nil
	}
	if link == nil {
		if link, err = m.create(parent.Index, want); err != nil {
			return err
		}
	}
	m.made[want.Name] = want
	if err := m.settle(); err != nil {
		return err
	}
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	return m.handle.LinkSetUp(link)
}

// Promote asks that on these links, and on no others, the other addresses of a
// subnet stay when its first one goes (promote_secondaries). The setting of links
// that are no longer among them is put back. A link that is missing is no error:
// the caller comes again when it is there.
func (m *Manager) Promote(links []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(links)+len(m.promote) == 0 {
		return nil
	}
	m.promote = links
	if err := m.settle(); err != nil {
		return fmt.Errorf("promote secondary addresses on %v: %w", links, err)
	}
	return nil
}

// right says whether a link is what Ensure would make.
func right(link netlink.Link, parent int, want Interface) bool {
	vlan, ok := link.(*netlink.Macvlan)
	return ok && vlan.Mode == netlink.MACVLAN_MODE_PRIVATE && vlan.ParentIndex == parent &&
		bytes.Equal(vlan.HardwareAddr, want.MAC[:])
}

func (m *Manager) create(parent int, want Interface) (netlink.Link, error) {
	vlan := &netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: want.Name, ParentIndex: parent, HardwareAddr: want.MAC[:]},
		// Private: what the interfaces of one parent send does not reach each
		// other.
		Mode: netlink.MACVLAN_MODE_PRIVATE,
	}
	if err := m.kernel.Do(func() error { return asRouter(func() error { return m.handle.LinkAdd(vlan) }) }); err != nil {
		return nil, err
	}
	link, err := m.handle.LinkByName(want.Name)
	if err != nil {
		return nil, err
	}
	// The virtual MAC must not shape addresses (RFC 9568 section 7.4).
	err = errors.Join(m.handle.LinkSetAlias(link, alias), m.handle.LinkSetIP6AddrGenMode(link, addrGenNone))
	return link, err
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE.
const addrGenNone = 1

// removeOurs deletes a link that bears the mark.
func (m *Manager) removeOurs(link netlink.Link) error {
	if link.Attrs().Alias != alias {
		return fmt.Errorf("an interface of that name, a %s, is there and is not ours", link.Type())
	}
	return m.handle.LinkDel(link)
}

// Remove deletes the interface, also one of an earlier process, and with the
// last one of a parent puts its settings back. One that is gone, or is somebody
// else's, is no error.
func (m *Manager) Remove(i Interface) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.made, i.Name)
	link, err := m.handle.LinkByName(i.Name)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		err = nil
	case err == nil && link.Attrs().Alias == alias:
		err = m.handle.LinkDel(link)
	}
	if err = errors.Join(err, m.settle()); err != nil {
		return fmt.Errorf("remove virtual MAC interface %s: %w", i.Name, err)
	}
	return nil
}

// Leftovers lists the interfaces by name that bear the mark and are not among
// those of Ensure: an earlier process left them.
func (m *Manager) Leftovers() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	links, err := m.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var names []string
	for _, l := range links {
		if _, known := m.made[l.Attrs().Name]; !known && l.Attrs().Alias == alias {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}
