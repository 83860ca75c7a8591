package model

import "fmt"

// TunnelType is what lies between the outer header of TUN and the packet. The values
// are the kernel's (IP_VS_CONN_F_TUNNEL_TYPE_* of linux/ip_vs.h).
type TunnelType uint8

// The types of tunnel: IP in IP, Generic UDP Encapsulation, and GRE (RFC 2784).
const (
	IPIP TunnelType = 0
	GUE  TunnelType = 1
	GRE  TunnelType = 2
)

// TunnelChecksum is what a tunnel of GUE or GRE does about checksums. The values are
// the kernel's (IP_VS_TUNNEL_ENCAP_FLAG_*).
type TunnelChecksum uint8

// keepalived's nocsum, csum and remcsum.
const (
	NoChecksum     TunnelChecksum = 0
	OuterChecksum  TunnelChecksum = 1
	RemoteChecksum TunnelChecksum = 2
)

// Tunnel is how a server by TUN gets its packets.
type Tunnel struct {
	Type TunnelType
	// Port is GUE's UDP port at the server, 0 for the other types.
	Port     uint16
	Checksum TunnelChecksum
}

// String returns what keepalived writes behind TUN.
func (t Tunnel) String() string {
	sum := map[TunnelChecksum]string{OuterChecksum: " csum", RemoteChecksum: " remcsum"}[t.Checksum]
	switch t.Type {
	case IPIP:
		return "type ipip" + sum
	case GUE:
		return fmt.Sprintf("type gue port %d%s", t.Port, sum)
	case GRE:
		return "type gre" + sum
	}
	return fmt.Sprintf("type %d%s", uint8(t.Type), sum)
}
