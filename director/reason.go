package director

import "fmt"

// Reason says why a service is not where it was wanted. The numbers are
// stable: they appear in JSON and metrics, and new ones are added at the end.
type Reason uint16

// The reasons.
const (
	// ReasonNone is the reason of a service that runs in XDP.
	ReasonNone Reason = iota
	ReasonWantsIPVS
	ReasonWantsXDP
	ReasonScheduler
	ReasonIPv6
	ReasonMixedFamilies
	ReasonSCTP
	ReasonProtocol
	ReasonTUN
	ReasonForward
	ReasonFWMark
	ReasonPersistence
	ReasonOnePacket
	ReasonThresholds
	ReasonTooManyServers
	ReasonAnyPort
	ReasonLocalServer
	ReasonServerIsVIP
	ReasonPortDiffers
	ReasonNoInterface
	ReasonProgramRefused
	ReasonIPVSNotDriven
	ReasonNoKernelIPVS
	ReasonDuplicate
	ReasonWeights
	ReasonSCTPPort
	ReasonPersistenceEngine
	reasonCount
)

var reasonTexts = [reasonCount]struct{ word, text string }{
	ReasonNone:              {"none", "runs in XDP"},
	ReasonWantsIPVS:         {"wants_ipvs", "the file asks for IPVS"},
	ReasonWantsXDP:          {"wants_xdp", "the file asks for XDP only"},
	ReasonScheduler:         {"scheduler", "the scheduler is not in XDP yet"},
	ReasonIPv6:              {"ipv6", "IPv6 is not in XDP yet"},
	ReasonMixedFamilies:     {"mixed_families", "service and server differ in IP version"},
	ReasonSCTP:              {"sctp", "SCTP is not in XDP"},
	ReasonProtocol:          {"protocol", "the protocol is not one that can be balanced"},
	ReasonTUN:               {"tun", "a tunnel with checksums is not in XDP"},
	ReasonForward:           {"forward", "the forwarding method is not in XDP"},
	ReasonFWMark:            {"fwmark", "XDP runs before firewall marks are set"},
	ReasonPersistence:       {"persistence", "persistence is not in XDP yet"},
	ReasonOnePacket:         {"one_packet", "this kind of one-packet scheduling (ops) is not in XDP"},
	ReasonThresholds:        {"thresholds", "uthreshold and lthreshold are not in XDP yet"},
	ReasonTooManyServers:    {"too_many_servers", "the service has more servers than XDP holds"},
	ReasonAnyPort:           {"any_port", "port 0 (every port) is not in XDP yet"},
	ReasonLocalServer:       {"local_server", "a server address is local to this machine"},
	ReasonServerIsVIP:       {"server_is_vip", "a server has the address of the service"},
	ReasonPortDiffers:       {"port_differs", "DR and TUN cannot change the port"},
	ReasonNoInterface:       {"no_interface", "no interface runs the XDP program"},
	ReasonProgramRefused:    {"program_refused", "the kernel refused the XDP program"},
	ReasonIPVSNotDriven:     {"ipvs_not_driven", "this version does not drive IPVS yet"},
	ReasonNoKernelIPVS:      {"no_kernel_ipvs", "this kernel has no IPVS"},
	ReasonWeights:           {"weights", "the weights of wrr make a longer table than XDP holds"},
	ReasonSCTPPort:          {"sctp_port", "NAT of SCTP to another port changes a sum that XDP does not compute"},
	ReasonPersistenceEngine: {"persistence_engine", "persistence_engine reads more of a packet than XDP does"},
	ReasonDuplicate:         {"duplicate", "the file names this service twice; the first one runs"},
}

// String returns the reason as one plain line.
func (r Reason) String() string {
	if r >= reasonCount {
		return fmt.Sprintf("reason %d", uint16(r))
	}
	return reasonTexts[r].text
}

// Word returns the reason as a metric label: lower case and underscores.
func (r Reason) Word() string {
	if r >= reasonCount {
		return fmt.Sprintf("reason_%d", uint16(r))
	}
	return reasonTexts[r].word
}

// Reasons returns every reason in order of its number.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
