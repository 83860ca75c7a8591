package director

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// MaxServers is how many servers a service in XDP holds, the sorry server
// included.
const MaxServers = 256

// XDPCapabilities is what the XDP program of this version runs.
type XDPCapabilities struct {
	Schedulers []string
	Protocols  []model.Protocol
	Forwards   []model.Forward
	// MaxServers bounds the servers of one service.
	MaxServers int
	// MaxWeights bounds the sum of the weights of a wrr service over their
	// common divisor.
	MaxWeights int
	// Each of these is one feature that a service may ask for.
	IPv6, AnyPort, FWMark, Persistence, OnePacket, Thresholds bool
	// LocalServer is a server that is this machine, by DR or TUN.
	LocalServer bool
}

// Capabilities says what can run a service. What is unset of the machine is
// taken as not known and stands in no service's way, so that a file can be
// judged before anything starts.
type Capabilities struct {
	XDP XDPCapabilities
	// DrivesIPVS is set when this version has an IPVS datapath.
	DrivesIPVS bool

	// NoXDP says why XDP cannot run on this machine: ReasonNoInterface or
	// ReasonProgramRefused; optional, ReasonNone means that it can.
	NoXDP Reason
	// NoXDPDetail is the cause in one line, such as the verifier's; optional.
	NoXDPDetail string
	// NoKernelIPVS is set when the kernel was asked and has no IPVS.
	NoKernelIPVS bool
	// LocalAddress reports whether an address is this machine's own;
	// optional, nil takes none for local.
	LocalAddress func(netip.Addr) bool
}

// ThisVersion returns the capabilities of this version, with nothing known of
// the machine.
func ThisVersion() Capabilities {
	return Capabilities{DrivesIPVS: true, XDP: XDPCapabilities{
		Schedulers:  []string{"rr", "wrr", "lc", "wlc", "sed", "nq", "ovf", "fo", "sh", "dh", "mh"},
		Protocols:   []model.Protocol{model.TCP, model.UDP, model.SCTP},
		Forwards:    []model.Forward{model.NAT, model.DR, model.TUN},
		MaxServers:  MaxServers,
		MaxWeights:  sched.MaxTable,
		LocalServer: true,
		IPv6:        true, Thresholds: true, Persistence: true, OnePacket: true,
	}}
}

// Placement is where a service runs and why there. It is comparable.
type Placement struct {
	// Datapath is DatapathXDP, DatapathIPVS, or empty when nothing runs it.
	Datapath model.DatapathChoice
	// Reason is why the service is not in XDP.
	Reason Reason
	// Detail is the reason in the words of this service, such as scheduler
	// wlc; it may be empty.
	Detail string
	// NoFallback is why IPVS does not run it either; ReasonNone when it does
	// or when the service is in XDP.
	NoFallback Reason
}

// Runs reports whether a datapath runs the service.
func (p Placement) Runs() bool { return p.Datapath != "" }

// String returns the placement as one line.
func (p Placement) String() string {
	why := p.Detail
	if why == "" {
		why = p.Reason.String()
	}
	switch {
	case p.Datapath == model.DatapathXDP:
		return "runs in XDP"
	case p.Datapath == model.DatapathIPVS:
		return fmt.Sprintf("runs in IPVS (%s)", why)
	case p.NoFallback == ReasonIPVSNotDriven:
		return fmt.Sprintf("needs IPVS (%s), which this version does not drive yet", why)
	case p.NoFallback == ReasonNoKernelIPVS:
		return fmt.Sprintf("needs IPVS (%s), which this kernel does not have", why)
	case p.NoFallback == ReasonWantsXDP:
		return fmt.Sprintf("cannot run in XDP (%s), and the file asks for XDP only", why)
	}
	return fmt.Sprintf("does not run: %s", why)
}

// Choose returns the datapath for a service.
func Choose(vs model.VirtualServer, caps Capabilities) Placement {
	p := Placement{}
	if vs.Datapath == model.DatapathIPVS {
		p.Reason = ReasonWantsIPVS
	} else {
		p.Reason, p.Detail = whyNotXDP(vs, caps)
	}
	switch {
	case p.Reason == ReasonNone:
		p.Datapath = model.DatapathXDP
	case vs.Datapath == model.DatapathXDP:
		p.NoFallback = ReasonWantsXDP
	case !caps.DrivesIPVS:
		p.NoFallback = ReasonIPVSNotDriven
	case caps.NoKernelIPVS:
		p.NoFallback = ReasonNoKernelIPVS
	default:
		p.Datapath = model.DatapathIPVS
	}
	return p
}

// whyNotXDP returns the first reason that keeps a service out of XDP. What the
// file says comes before what the machine lacks, so that a check of the file
// and the running daemon name the same reason.
func whyNotXDP(vs model.VirtualServer, caps Capabilities) (Reason, string) {
	for _, judge := range []func(model.VirtualServer, Capabilities) (Reason, string){judgeService, judgeServers} {
		if r, detail := judge(vs, caps); r != ReasonNone {
			return r, detail
		}
	}
	if caps.NoXDP != ReasonNone {
		return caps.NoXDP, caps.NoXDPDetail
	}
	return ReasonNone, ""
}

func judgeService(vs model.VirtualServer, caps Capabilities) (Reason, string) {
	xdp := caps.XDP
	vip := vs.Key.Addr.Addr()
	switch {
	case vs.Key.FWMark != 0 && !xdp.FWMark:
		return ReasonFWMark, fmt.Sprintf("fwmark %d", vs.Key.FWMark)
	case vs.Key.FWMark == 0 && !slices.Contains(xdp.Protocols, vs.Key.Protocol):
		if vs.Key.Protocol == model.SCTP {
			return ReasonSCTP, "protocol SCTP"
		}
		return ReasonProtocol, fmt.Sprintf("protocol %s", vs.Key.Protocol)
	case vip.Is6() && !vip.Is4In6() && !xdp.IPv6:
		return ReasonIPv6, fmt.Sprintf("IPv6 address %s", vip)
	case vs.Key.FWMark == 0 && vs.Key.Addr.Port() == 0 && !xdp.AnyPort:
		return ReasonAnyPort, "port 0, which is every port"
	case !slices.Contains(xdp.Schedulers, vs.Scheduler):
		return ReasonScheduler, fmt.Sprintf("scheduler %s", vs.Scheduler)
	case vs.Persistence != 0 && !xdp.Persistence:
		return ReasonPersistence, fmt.Sprintf("persistence_timeout %d", int64(vs.Persistence/time.Second))
	case vs.PersistenceEngine != "":
		return ReasonPersistenceEngine, "persistence_engine " + vs.PersistenceEngine
	case vs.OnePacket && !xdp.OnePacket:
		return ReasonOnePacket, "ops"
	case vs.OnePacket && (vs.Persistence != 0 || vs.Key.Protocol != model.UDP):
		return ReasonOnePacket, "ops with persistence, or of TCP"
	case serverCount(vs) > xdp.MaxServers:
		return ReasonTooManyServers, tooMany(vs, xdp.MaxServers)
	case vs.Scheduler == "wrr":
		if sum := weightsOverDivisor(vs); sum > int64(xdp.MaxWeights) {
			return ReasonWeights, fmt.Sprintf("the weights over their common divisor sum to %d, XDP holds %d", sum, xdp.MaxWeights)
		}
	}
	return ReasonNone, ""
}

func judgeServers(vs model.VirtualServer, caps Capabilities) (Reason, string) {
	for s := range allServers(vs) {
		if r, detail := judgeServer(vs.Key, s, caps); r != ReasonNone {
			return r, detail
		}
	}
	return ReasonNone, ""
}

func judgeServer(key model.ServiceKey, s model.Server, caps Capabilities) (Reason, string) {
	addr, vip := s.Addr.Addr().Unmap(), key.Addr.Addr().Unmap()
	switch {
	case vip.IsValid() && addr.Is4() != vip.Is4() && (s.Forward != model.TUN || !slices.Contains(caps.XDP.Forwards, model.TUN)):
		return ReasonMixedFamilies, fmt.Sprintf("server %s for %s", addr, vip)
	case addr.Is6() && !caps.XDP.IPv6:
		return ReasonIPv6, fmt.Sprintf("IPv6 server %s", addr)
	case addr == vip:
		return ReasonServerIsVIP, fmt.Sprintf("server %s is the virtual address", s.Addr)
	case s.Forward == model.Local, isLocal(addr, caps) && (s.Forward == model.NAT || !caps.XDP.LocalServer):
		return ReasonLocalServer, fmt.Sprintf("server %s is this machine", s.Addr)
	case !slices.Contains(caps.XDP.Forwards, s.Forward):
		if s.Forward == model.TUN {
			return ReasonTUN, fmt.Sprintf("lvs_method TUN of server %s", s.Addr)
		}
		return ReasonForward, fmt.Sprintf("lvs_method %s of server %s", s.Forward, s.Addr)
	case s.Forward == model.TUN && s.Tunnel.Checksum != model.NoChecksum:
		return ReasonTUN, fmt.Sprintf("lvs_method TUN %s of server %s", s.Tunnel, s.Addr)
	case s.Forward != model.NAT && key.FWMark == 0 && s.Addr.Port() != key.Addr.Port():
		return ReasonPortDiffers, fmt.Sprintf("server %s with lvs_method %s, which keeps port %d", s.Addr, s.Forward, key.Addr.Port())
	case s.Forward == model.NAT && key.Protocol == model.SCTP && key.FWMark == 0 && s.Addr.Port() != key.Addr.Port():
		return ReasonSCTPPort, fmt.Sprintf("server %s of SCTP with lvs_method NAT, which keeps port %d in XDP", s.Addr, key.Addr.Port())
	case (s.Upper != 0 || s.Lower != 0) && !caps.XDP.Thresholds:
		return ReasonThresholds, fmt.Sprintf("uthreshold %d, lthreshold %d of server %s", s.Upper, s.Lower, s.Addr)
	}
	return ReasonNone, ""
}

func isLocal(addr netip.Addr, caps Capabilities) bool {
	return caps.LocalAddress != nil && caps.LocalAddress(addr)
}

func tooMany(vs model.VirtualServer, most int) string {
	if vs.Sorry != nil {
		return fmt.Sprintf("%d servers with the sorry server, XDP holds %d", serverCount(vs), most)
	}
	return fmt.Sprintf("%d servers, XDP holds %d", len(vs.Servers), most)
}

// weightsOverDivisor is the length of wrr's table with every server in it. With
// fewer servers the divisor only grows, so the table is never longer.
func weightsOverDivisor(vs model.VirtualServer) int64 {
	var sum, divisor int64
	for s := range allServers(vs) {
		sum += int64(s.Weight)
		for a, b := divisor, int64(s.Weight); ; a, b = b, a%b {
			if b == 0 {
				divisor = a
				break
			}
		}
	}
	return sum / max(divisor, 1)
}

// serverCount counts the real servers and the sorry server.
func serverCount(vs model.VirtualServer) int {
	if vs.Sorry != nil {
		return len(vs.Servers) + 1
	}
	return len(vs.Servers)
}

// allServers yields the real servers and the sorry server.
func allServers(vs model.VirtualServer) iter.Seq[model.Server] {
	return func(yield func(model.Server) bool) {
		for i := range vs.Servers {
			if !yield(vs.Servers[i].Server) {
				return
			}
		}
		if vs.Sorry != nil {
			yield(vs.Sorry.Server)
		}
	}
}
