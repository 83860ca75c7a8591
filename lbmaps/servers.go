package lbmaps

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/model"
)

// The flags of a server in contract.h.
const (
	serverDeleted  = 0x01
	serverResolved = 0x02
	serverLocal    = 0x04
)

// Server is an entry of ek_servers.
type Server struct {
	model.Server
	// Service is the id of its service.
	Service uint32
	// Deleted marks a server that left its service while flows point here.
	Deleted bool
	// LastWeight is the last weight that was not 0; the program does not
	// read it.
	LastWeight int32
	Way        Way
}

// Way is how frames reach a server. It holds only when Resolved is set.
type Way struct {
	Resolved bool
	// Ifindex is the interface that frames leave by, and VLAN the id of the tag that
	// they have there, 0 for none.
	Ifindex uint32
	VLAN    uint16
	// Source and Destination are the addresses of the frame.
	Source, Destination [6]byte
	// MTU is the largest IP packet on the way, 0 not known.
	MTU uint16
	// Tunnel is the outer source address of a server by TUN.
	Tunnel netip.Addr
	// Local is set for a server that is this machine: it gets packets as they
	// came. The rest does not hold then.
	Local bool
}

// Used reports whether the slot holds a server. A free slot is all zero.
func (s Server) Used() bool { return s.Addr.IsValid() }

func wireServer(s Server) bpf.EkServer {
	w := bpf.EkServer{
		Addr:    wireAddr(s.Addr.Addr()),
		Port:    wirePort(s.Addr.Port()),
		Forward: bpf.EkForward(s.Forward),
		Weight:  s.Weight,
		Service: s.Service,
		Ifindex: s.Way.Ifindex,
		Vlan:    s.Way.VLAN,
		Dmac:    s.Way.Destination,
		Smac:    s.Way.Source,
		Upper:   s.Upper,
		Lower:   s.Lower,
		Mtu:     s.Way.MTU,

		LastWeight: s.LastWeight,
	}
	if s.Forward == model.TUN && s.Tunnel.Type == model.IPIP && s.Addr.Addr().Is4() && s.Way.Tunnel.Is4() {
		w.Outer = wireIPv4(s.Way.Tunnel)
	}
	if s.Deleted {
		w.Flags |= serverDeleted
	}
	if s.Way.Resolved {
		w.Flags |= serverResolved
	}
	if s.Way.Local {
		w.Flags |= serverLocal
	}
	return w
}

func hostServer(w bpf.EkServer) Server {
	s := Server{
		Server: model.Server{
			Forward: model.Forward(w.Forward),
			Weight:  w.Weight,
			Upper:   w.Upper,
			Lower:   w.Lower,
		},
		Service: w.Service,
		Deleted: w.Flags&serverDeleted != 0,

		LastWeight: w.LastWeight,
		Way: Way{
			Resolved:    w.Flags&serverResolved != 0,
			Local:       w.Flags&serverLocal != 0,
			Ifindex:     w.Ifindex,
			VLAN:        w.Vlan,
			Source:      w.Smac,
			Destination: w.Dmac,
			MTU:         w.Mtu,
		},
	}
	if addr := hostAddr(w.Addr); addr.IsValid() {
		s.Addr = netip.AddrPortFrom(addr, hostPort(w.Port))
	}
	return s
}

// Server returns the server in a slot; see Used.
func (m *Maps) Server(slot uint32) (Server, error) {
	var w bpf.EkServer
	if err := m.servers.Lookup(slot, &w); err != nil {
		return Server{}, fmt.Errorf("read server %d: %w", slot, err)
	}
	s := hostServer(w)
	return s, m.readTunnel(slot, &s)
}

// readTunnel completes a server by TUN.
func (m *Maps) readTunnel(slot uint32, s *Server) error {
	if !s.Used() || s.Forward != model.TUN {
		return nil
	}
	var t bpf.EkTunnel
	if err := m.tunnels.Lookup(slot, &t); err != nil {
		return fmt.Errorf("read tunnel of server %d: %w", slot, err)
	}
	s.Way.Tunnel = hostAddr(t.Saddr)
	s.Tunnel = model.Tunnel{Type: model.TunnelType(t.Type), Port: hostPort(t.Port)}
	return nil
}

// Servers calls yield with each slot that is in use until it returns false.
func (m *Maps) Servers(yield func(slot uint32, s Server) bool) error {
	var failed error
	err := walk(m.servers, func(slot uint32, w bpf.EkServer) bool {
		s := hostServer(w)
		if failed = m.readTunnel(slot, &s); failed != nil {
			return false
		}
		return !s.Used() || yield(slot, s)
	})
	return errors.Join(err, failed)
}

// wireTunnel is the tunnel to a server.
func wireTunnel(s Server) bpf.EkTunnel {
	return bpf.EkTunnel{Saddr: wireAddr(s.Way.Tunnel), Port: wirePort(s.Tunnel.Port), Type: bpf.EkTunnelType(s.Tunnel.Type)}
}

// PutServer writes the server of a slot, its tunnel first. The zero Server frees the
// slot.
func (m *Maps) PutServer(slot uint32, s Server) error {
	if s.Forward == model.TUN {
		if err := m.tunnels.Put(slot, wireTunnel(s)); err != nil {
			return fmt.Errorf("write tunnel of server %s to slot %d: %w", s.Addr, slot, err)
		}
	}
	if err := m.servers.Put(slot, wireServer(s)); err != nil {
		return fmt.Errorf("write server %s to slot %d: %w", s.Addr, slot, err)
	}
	return nil
}

// Conns counts the live flows of a server.
type Conns struct {
	Active, Total uint32
	// Overloaded is set while the server is over its upper threshold.
	Overloaded bool
	// Persistent counts the live templates.
	Persistent uint32
}

// Idle reports whether nothing refers to the server.
func (c Conns) Idle() bool { return c.Total == 0 && c.Persistent == 0 }

// Inactive returns IPVS's InActConn.
func (c Conns) Inactive() uint32 { return c.Total - min(c.Active, c.Total) }

// Conns returns the live flows of the server in a slot.
func (m *Maps) Conns(slot uint32) (Conns, error) {
	var w bpf.EkServerConns
	if err := m.serverConns.Lookup(slot, &w); err != nil {
		return Conns{}, fmt.Errorf("read flow counts of server %d: %w", slot, err)
	}
	return Conns{Active: counted(w.Active), Total: counted(w.Total), Overloaded: w.Overloaded != 0, Persistent: w.Persistent}, nil
}

// counted is a count as it is told. A flow that ends before it is counted in
// makes it less than none for a moment.
func counted(n uint32) uint32 { return uint32(max(int32(n), 0)) }

// ResetServer sets the counts of flows and the statistics of a slot to zero,
// before a new server gets it. Flows that count there would be miscounted.
func (m *Maps) ResetServer(slot uint32) error {
	if err := m.serverConns.Put(slot, bpf.EkServerConns{}); err != nil {
		return fmt.Errorf("reset flow counts of server %d: %w", slot, err)
	}
	if err := resetStats(m.serverStats, slot); err != nil {
		return fmt.Errorf("reset statistics of server %d: %w", slot, err)
	}
	return nil
}
