package model

import (
	"fmt"
	"net/netip"
	"time"
)

// Protocol is an IP protocol number as it stands in the IP header.
type Protocol uint8

// The protocols that a virtual server can balance.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns the name as keepalived.conf and ipvsadm print it: TCP.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return fmt.Sprintf("proto %d", uint8(p))
}

// Forward is a forwarding method. The values are those of the kernel's
// IP_VS_CONN_F_* (linux/ip_vs.h), so that both datapaths share them.
type Forward uint8

// The forwarding methods: keepalived's lvs_method NAT, TUN and DR, and
// Local for a server address that is the balancer's own.
const (
	NAT   Forward = 0
	Local Forward = 1
	TUN   Forward = 2
	DR    Forward = 3
)

// String returns keepalived's word for the method.
func (f Forward) String() string {
	switch f {
	case NAT:
		return "NAT"
	case Local:
		return "Local"
	case TUN:
		return "TUN"
	case DR:
		return "DR"
	}
	return fmt.Sprintf("forward %d", uint8(f))
}

// ServiceKey identifies a virtual service. It is comparable.
type ServiceKey struct {
	// Protocol is zero for a firewall-mark service.
	Protocol Protocol
	// Addr is the virtual address and port; port 0 stands for every port.
	Addr netip.AddrPort
	// FWMark selects by firewall mark when it is not zero; Addr is then
	// unset, or [::]:0 for IPv6 packets of that mark.
	FWMark uint32
	// Group and Ordinal name no service but a virtual_server block for a
	// virtual_server_group, of which the services are many: the name of the group
	// and which of its blocks it is, from 0. Addr and FWMark are unset then, and
	// Protocol is zero if all services are of firewall marks. Checks and notices
	// are about blocks; no datapath sees such a key.
	Group   string
	Ordinal uint16
}

// String prints the key as keepalived's logs do: [192.0.2.1]:tcp:80, FWM 7, and
// [name]:0 for a block of a group.
func (k ServiceKey) String() string {
	if k.Group != "" {
		return fmt.Sprintf("[%s]:%d", k.Group, k.Ordinal)
	}
	if k.FWMark != 0 {
		return fmt.Sprintf("FWM %d", k.FWMark)
	}
	return fmt.Sprintf("[%s]:%s:%d", k.Addr.Addr(), k.protocolWord(), k.Addr.Port())
}

func (k ServiceKey) protocolWord() string {
	switch k.Protocol {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprint(uint8(k.Protocol))
}

// Service is a virtual service as a datapath knows it.
type Service struct {
	Key ServiceKey
	// Scheduler is IPVS's scheduler name, such as rr.
	Scheduler string
	// SchedFlags are IPVS's scheduler flags 1 to 3 (0x08, 0x10, 0x20).
	SchedFlags uint32
	// Persistence is persistence_timeout; zero turns persistence off.
	Persistence time.Duration
	// PersistencePrefix is persistence_granularity as a prefix length; zero
	// stands for the whole address.
	PersistencePrefix uint8
	// PersistenceEngine is persistence_engine, by IPVS's name: what of a packet
	// stands for the client besides the address, such as sip; empty is nothing.
	PersistenceEngine string
	// OnePacket is ops: every datagram is scheduled for itself.
	OnePacket bool
	// NewFlowRate is how many flows a second may bring, NewFlowBurst how many
	// may come at once; both are zero without a limit.
	NewFlowRate, NewFlowBurst uint32
}

// Server is a real server of one service as a datapath knows it. Addr
// identifies it within the service.
type Server struct {
	Addr    netip.AddrPort
	Forward Forward
	// Weight is the scheduling weight, at least 0; 0 takes no new flows.
	Weight int32
	// Upper and Lower are the overload thresholds in flows (uthreshold,
	// lthreshold); 0 is none.
	Upper, Lower uint32
	// Tunnel is how TUN wraps packets; the zero value is IPIP.
	Tunnel Tunnel
}

// Position is a place in a configuration file. Line and Column count from 1
// and the column counts bytes; the zero Position is unknown.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String prints file:line:column, the form that editors jump to.
func (p Position) String() string {
	if p.File == "" && p.Line == 0 {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// VirtualServer is one service of a virtual_server block with all inheritance
// and defaults applied. A block for a group has one for each address and mark of
// the group.
type VirtualServer struct {
	Service
	Pos Position
	// GroupBlock names the block, for a service of a group; the zero key is none.
	// All services of such a block have the same settings and the same servers,
	// but for ports and for servers that one of them cannot have.
	GroupBlock ServiceKey
	// Datapath says where the service shall run.
	Datapath DatapathChoice
	// Servers are in the order of the file.
	Servers []RealServer
	// Sorry is the sorry_server, or nil. It has no checks.
	Sorry *RealServer
	// SorryInhibit keeps the sorry server in the table with weight 0 instead
	// of removing it (sorry_server_inhibit).
	SorryInhibit bool
	// Quorum is the least sum of weights of live servers, default 1.
	Quorum uint32
	// Hysteresis is added to the quorum going up and subtracted going down.
	Hysteresis uint32
	// HASuspend rests the checks while no address of the block is this host's.
	HASuspend bool
	// Alpha starts every server as failed; Omega reports them down at stop.
	Alpha, Omega bool
	// QuorumUp and QuorumDown run when the quorum is gained and lost; nil is
	// none.
	QuorumUp, QuorumDown *Script
	// Mail tells of quorum by mail (smtp_alert).
	Mail bool
}

// Block returns the name of the virtual_server block, which checks and notices
// are about: Key, but for a service of a group.
func (vs VirtualServer) Block() ServiceKey {
	if vs.GroupBlock.Group == "" {
		return vs.Key
	}
	return vs.GroupBlock
}

// RealServer is one real_server block with all inheritance applied.
type RealServer struct {
	Server
	Pos Position
	// Named is the address and port in the file, where that is not Addr: the
	// services of a group have servers with ports of their own. Unset is Addr.
	Named netip.AddrPort
	// InhibitOnFailure sets weight 0 instead of removing a failed server.
	InhibitOnFailure bool
	// Alpha starts this server as failed until its first success.
	Alpha bool
	// Checks is empty for a server that is always up.
	Checks []Check
	// NotifyUp and NotifyDown run when the server comes up and goes down; nil
	// is none.
	NotifyUp, NotifyDown *Script
	// Mail tells of the server by mail (smtp_alert), by default true.
	Mail bool
}

// Name returns by what address checks and notices know the server within its
// block.
func (rs RealServer) Name() netip.AddrPort {
	if rs.Named.IsValid() {
		return rs.Named
	}
	return rs.Addr
}

// DatapathChoice is the datapath keyword: where a service shall run.
type DatapathChoice string

// The choices. Auto takes XDP where it can and says why where it cannot.
const (
	DatapathAuto DatapathChoice = "auto"
	DatapathXDP  DatapathChoice = "xdp"
	DatapathIPVS DatapathChoice = "ipvs"
)

// FlushScope is what of the kernel's IPVS is deleted at a stop.
type FlushScope string

// The scopes. With FlushOwn the services of the file go, which is what happens
// anyway; with FlushAll those of others go, too.
const (
	FlushOwn FlushScope = ""
	FlushAll FlushScope = "all"
)

// XDPMode is the xdp_mode keyword: how the program is attached.
type XDPMode string

// The attach modes. Auto tries native first and then generic.
const (
	XDPAuto    XDPMode = "auto"
	XDPNative  XDPMode = "native"
	XDPGeneric XDPMode = "generic"
)

// SyncDaemon is lvs_sync_daemon: IPVS's own daemon that hands flows over between
// directors. It sends while the instance is master, and else takes; without an
// instance it does both. Only services in IPVS take part.
type SyncDaemon struct {
	Interface string
	// Instance is the name of a vrrp_instance, or empty.
	Instance string
	// ID tells pairs of directors apart; that of the instance is its default.
	ID uint8
	// MaxLen, Port, TTL and Group are the kernel's defaults where zero: the MTU's,
	// 8848, 1 and 224.0.0.81.
	MaxLen uint16
	Port   uint16
	TTL    uint8
	Group  netip.Addr
}

// Global is the part of global_defs that Evenkeel acts on.
type Global struct {
	RouterID string
	// Instance is the top-level instance keyword.
	Instance string
	// NetNamespace is the network namespace to run in (net_namespace); empty is
	// that of whoever starts the daemon.
	NetNamespace string
	// UsePIDDir is use_pid_dir: pid files are in a directory of their own.
	UsePIDDir bool
	// Timeouts of idle flows (lvs_timeouts): zero keeps IPVS's default of
	// 900 s established TCP, 120 s after FIN and 300 s UDP.
	TimeoutTCP, TimeoutTCPFin, TimeoutUDP time.Duration
	// CheckerLogAllFailures is checker_log_all_failures.
	CheckerLogAllFailures bool
	// ServersToldAtStart is rs_init_notifies: servers that count as up when they
	// begin are told, too.
	ServersToldAtStart bool
	// FlushAtStart empties the kernel's IPVS before the first service is
	// added (lvs_flush); FlushAtStop is how it is left (lvs_flush_on_stop).
	FlushAtStart bool
	FlushAtStop  FlushScope
	// Sync is IPVS's sync daemon (lvs_sync_daemon); nil is none.
	Sync *SyncDaemon
	// Datapath, XDPInterfaces and XDPMode are the @evenkeel keywords
	// datapath, xdp_interface and xdp_mode. No interface named means: choose.
	Datapath      DatapathChoice
	XDPInterfaces []string
	XDPMode       XDPMode
	// FlowTable is how many flows of each family XDP has room for (flow_table);
	// 0 is the datapath's default.
	FlowTable uint32
	// Scripts, FIFOs and Mail are how events are told; Mail is nil without
	// smtp_server or without a recipient.
	Scripts ScriptSettings
	FIFOs   FIFOs
	Mail    *Mail
	Dumps   Dumps
	// ReloadLog is the file that reload_check_config names: it holds the
	// complaints about the file that was read last. Empty is none.
	ReloadLog string
}

// Dumps is where the files go that signals ask for, and their form. A name that
// ends in a slash is a directory; an empty one is the daemon's default.
type Dumps struct {
	// State, Stats and JSON are state_dump_file, stats_dump_file and
	// json_dump_file.
	State, Stats, JSON string
	// JSONVersion is 1 or 2 (json_version); 0 counts as 1.
	JSONVersion uint8
}
