// Code generated from reasons.json; DO NOT EDIT.

package reasons

// The reasons by name.
const (
	// NotIP: neither IPv4 nor IPv6, such as ARP.
	NotIP Reason = 1
	// IPv6: not counted any more: IPv6, before the program balanced it.
	IPv6 Reason = 2
	// VLANTag: frame with the tag of a VLAN that no VLAN device here is of.
	VLANTag Reason = 3
	// NotOurMAC: frame of what may be ours, addressed to another machine, or broadcast.
	NotOurMAC Reason = 4
	// Truncated: frame shorter than its headers say.
	Truncated Reason = 5
	// BadHeader: header length or version that cannot be.
	BadHeader Reason = 6
	// Fragment: IP fragment, which only the kernel can put together.
	Fragment Reason = 7
	// IPOptions: IPv4 header with options, or an IPv6 extension header that the program does not read.
	IPOptions Reason = 8
	// OtherProtocol: neither TCP, UDP nor SCTP, nor an ICMP or ICMPv6 error.
	OtherProtocol Reason = 9
	// NoService: no virtual service has this address, port and protocol, whatever else may be wrong with the packet.
	NoService Reason = 10
	// NoFlow: TCP segment or SCTP packet to a service that neither opens a connection nor belongs to one.
	NoFlow Reason = 11
	// SourcePort20: client port 20, which IPVS never schedules.
	SourcePort20 Reason = 12
	// LocalServer: the server is this machine, whose own program answers.
	LocalServer Reason = 13
	// ICMPUnrelated: ICMP or ICMPv6 error that quotes no packet of a flow, or too little of it.
	ICMPUnrelated Reason = 14
	// DoubleTag: frame with two VLAN tags, or with one of 802.1ad.
	DoubleTag Reason = 15
	// NoServer: no server of the service can take a new flow.
	NoServer Reason = 20
	// ServerDeleted: the server of this flow was removed from the service.
	ServerDeleted Reason = 21
	// NoNextHop: the next hop to the server is not resolved.
	NoNextHop Reason = 22
	// TTLExceeded: time to live, or hop limit, is used up.
	TTLExceeded Reason = 23
	// FlowTableFull: the flow table has no room for a new flow.
	FlowTableFull Reason = 24
	// FlowBusy: another CPU was changing the same flow; the sender tries again.
	FlowBusy Reason = 25
	// CursorBusy: too many CPUs scheduled for the service at once; the sender tries again.
	CursorBusy Reason = 26
	// TooBig: packet larger than the MTU on its way out, and no ICMP error could be sent.
	TooBig Reason = 27
	// Internal: a map entry that must exist was not found.
	Internal Reason = 28
	// Unsupported: not counted any more: a forwarding method that the program did not have.
	Unsupported Reason = 29
	// TemplatesFull: the table of persistence templates has no room for a new client.
	TemplatesFull Reason = 30
	// RateLimited: the service has taken as many new flows as its new_flow_rate allows.
	RateLimited Reason = 31
	// PortUnreachable: answered with ICMP or ICMPv6 port unreachable: no server of the service can take a new flow.
	PortUnreachable Reason = 40
	// TimeExceeded: answered with ICMP or ICMPv6 time exceeded.
	TimeExceeded Reason = 41
	// FragNeeded: answered with ICMP fragmentation needed or ICMPv6 packet too big.
	FragNeeded Reason = 42
	// ForwardedDR: forwarded to the server by DR.
	ForwardedDR Reason = 50
	// ForwardedNAT: forwarded to the server by NAT.
	ForwardedNAT Reason = 51
	// ForwardedReply: reply of a NAT server forwarded to the client.
	ForwardedReply Reason = 52
	// ForwardedTUN: forwarded to the server by TUN.
	ForwardedTUN Reason = 53
	// ForwardedICMP: ICMP or ICMPv6 error about a flow forwarded to its server.
	ForwardedICMP Reason = 54
	// ForwardedICMPReply: ICMP or ICMPv6 error from a server's side forwarded to the client, in the service's name.
	ForwardedICMPReply Reason = 55
)

var table = map[Reason]entry{
	NotIP:              {"not_ip", Pass, "neither IPv4 nor IPv6, such as ARP"},
	IPv6:               {"ipv6", Pass, "not counted any more: IPv6, before the program balanced it"},
	VLANTag:            {"vlan_tag", Pass, "frame with the tag of a VLAN that no VLAN device here is of"},
	NotOurMAC:          {"not_our_mac", Pass, "frame of what may be ours, addressed to another machine, or broadcast"},
	Truncated:          {"truncated", Pass, "frame shorter than its headers say"},
	BadHeader:          {"bad_header", Pass, "header length or version that cannot be"},
	Fragment:           {"fragment", Pass, "IP fragment, which only the kernel can put together"},
	IPOptions:          {"ip_options", Pass, "IPv4 header with options, or an IPv6 extension header that the program does not read"},
	OtherProtocol:      {"other_protocol", Pass, "neither TCP, UDP nor SCTP, nor an ICMP or ICMPv6 error"},
	NoService:          {"no_service", Pass, "no virtual service has this address, port and protocol, whatever else may be wrong with the packet"},
	NoFlow:             {"no_flow", Pass, "TCP segment or SCTP packet to a service that neither opens a connection nor belongs to one"},
	SourcePort20:       {"source_port_20", Pass, "client port 20, which IPVS never schedules"},
	LocalServer:        {"local_server", Pass, "the server is this machine, whose own program answers"},
	ICMPUnrelated:      {"icmp_unrelated", Pass, "ICMP or ICMPv6 error that quotes no packet of a flow, or too little of it"},
	DoubleTag:          {"double_tag", Pass, "frame with two VLAN tags, or with one of 802.1ad"},
	NoServer:           {"no_server", Drop, "no server of the service can take a new flow"},
	ServerDeleted:      {"server_deleted", Drop, "the server of this flow was removed from the service"},
	NoNextHop:          {"no_next_hop", Drop, "the next hop to the server is not resolved"},
	TTLExceeded:        {"ttl_exceeded", Drop, "time to live, or hop limit, is used up"},
	FlowTableFull:      {"flow_table_full", Drop, "the flow table has no room for a new flow"},
	FlowBusy:           {"flow_busy", Drop, "another CPU was changing the same flow; the sender tries again"},
	CursorBusy:         {"cursor_busy", Drop, "too many CPUs scheduled for the service at once; the sender tries again"},
	TooBig:             {"too_big", Drop, "packet larger than the MTU on its way out, and no ICMP error could be sent"},
	Internal:           {"internal", Drop, "a map entry that must exist was not found"},
	Unsupported:        {"unsupported", Drop, "not counted any more: a forwarding method that the program did not have"},
	TemplatesFull:      {"templates_full", Drop, "the table of persistence templates has no room for a new client"},
	RateLimited:        {"rate_limited", Drop, "the service has taken as many new flows as its new_flow_rate allows"},
	PortUnreachable:    {"port_unreachable", Answer, "answered with ICMP or ICMPv6 port unreachable: no server of the service can take a new flow"},
	TimeExceeded:       {"time_exceeded", Answer, "answered with ICMP or ICMPv6 time exceeded"},
	FragNeeded:         {"frag_needed", Answer, "answered with ICMP fragmentation needed or ICMPv6 packet too big"},
	ForwardedDR:        {"forwarded_dr", Forward, "forwarded to the server by DR"},
	ForwardedNAT:       {"forwarded_nat", Forward, "forwarded to the server by NAT"},
	ForwardedReply:     {"forwarded_reply", Forward, "reply of a NAT server forwarded to the client"},
	ForwardedTUN:       {"forwarded_tun", Forward, "forwarded to the server by TUN"},
	ForwardedICMP:      {"forwarded_icmp", Forward, "ICMP or ICMPv6 error about a flow forwarded to its server"},
	ForwardedICMPReply: {"forwarded_icmp_reply", Forward, "ICMP or ICMPv6 error from a server's side forwarded to the client, in the service's name"},
}
