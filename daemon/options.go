package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon/priority"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// Options configure a Daemon.
type Options struct {
	// File is the configuration file. Required.
	File string
	// Machine is the host. Required; NewHost makes the real one.
	Machine Machine
	// Socket is where requests are answered, default api.DefaultSocket.
	Socket string
	// Memory is the file that lets a process which is started again in time go
	// on as master; default Socket with .masters behind.
	Memory string
	// WasMaster says whether Memory is of a master that may still be one,
	// default failover.WasMaster.
	WasMaster func(memory string) bool
	// Listen takes the socket, default api.Listen. Its error is an
	// *api.InUseError when another daemon has it.
	Listen func(path string) (net.Listener, error)
	// Version is what the status says of this program; optional.
	Version string
	// Prober makes the tries of checks, default health.Checkers with the
	// scripts of this machine.
	Prober health.Prober
	// Signals are acted on: SIGHUP reloads, SIGTERM and SIGINT stop, and those
	// of keepalived's exporters write a dump. The function Signals lists them.
	// Default nil: none arrive.
	Signals <-chan os.Signal
	// Priority takes the place among other processes that the configuration
	// asks for. Default nil: it stays as it is.
	Priority *priority.Process
	// DumpDir is where dumps go, default /tmp, as keepalived's.
	DumpDir string
	// Notify tells the service manager, in the words of sd_notify(3). Default
	// nil: nobody is told.
	Notify func(state string)
	// Watchdog is how often the service manager wants to hear that the loop
	// turns; 0 is never.
	Watchdog time.Duration
	// Load reads the configuration, default config.Load with its defaults.
	Load func(path string) (*config.Config, error)
	// LastGood keeps the configuration that last ran well. Default nil: nothing
	// is kept.
	LastGood Store
	// FallBack says why to begin with that and not with File; optional.
	FallBack string
	// LoadKept reads what LastGood kept, default config.LoadSnapshot with its
	// defaults.
	LoadKept func(config.Snapshot) (*config.Config, error)
	// Log gets one line for each change of state, default discards.
	Log *slog.Logger
}

// adoptWithin is how long ago a master may have advertised for its restart to
// be in a hurry: longer than a backup waits for adverts of ten seconds.
const adoptWithin = time.Minute

func (o Options) orDefault() Options {
	if o.Socket == "" {
		o.Socket = api.DefaultSocket
	}
	if o.Memory == "" {
		o.Memory = o.Socket + ".masters"
	}
	if o.DumpDir == "" {
		o.DumpDir = "/tmp"
	}
	if o.WasMaster == nil {
		o.WasMaster = func(path string) bool { return failover.WasMaster(path, adoptWithin) }
	}
	if o.Listen == nil {
		o.Listen = func(path string) (net.Listener, error) { return api.Listen(path) }
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Load == nil {
		o.Load = func(path string) (*config.Config, error) { return config.Load(path, config.Options{}) }
	}
	if o.LoadKept == nil {
		o.LoadKept = func(s config.Snapshot) (*config.Config, error) { return config.LoadSnapshot(s, config.Options{}) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Machine is the host as the daemon needs it.
type Machine interface {
	// Start starts the XDP datapath, or takes over one that was left running.
	// A datapath that could not be started as asked leaves nothing behind.
	// The error is a *StartError where it has a kind.
	Start(context.Context, Settings) (XDP, error)
	// IPVS finds the kernel's IPVS, which stays as it is. The error wraps
	// ipvs.ErrNoIPVS where the kernel has none.
	IPVS(context.Context) (IPVS, error)
	// IsLocal reports whether an address is this host's own.
	IsLocal(netip.Addr) bool
	// Local returns what says the same of many addresses, as it is now.
	Local() func(netip.Addr) bool
	// WatchAddresses calls changed when addresses of this host may have come or
	// gone, at once and then until ctx ends. Hints may come for nothing.
	WatchAddresses(ctx context.Context, changed func()) error
	// Routers makes the VRRP part of a configuration. Options have no Kernel;
	// the machine adds its own.
	Routers(failover.Options) (Routers, error)
}

// XDP is the XDP datapath as the daemon needs it. Apply, Release, Import,
// Configure, Remove and Close come from one goroutine at a time; the others from any.
type XDP interface {
	director.Datapath
	// Run keeps the datapath going (sweep, next hops, attachments) until ctx
	// ends and then returns nil.
	Run(context.Context) error
	// Configure puts settings in force, all or none.
	Configure(context.Context, Settings) error
	// Release lets go of a service that runs in IPVS too by now: packets of it
	// go up to the kernel, but for those of its flows. These and its templates
	// are told to last, and end here when that returns. The error joins last's.
	Release(ctx context.Context, key model.ServiceKey, last func([]model.Flow) error) error
	// Import takes over flows and templates from IPVS and returns how many are here now.
	Import(context.Context, []model.Flow) (int, error)
	// Report says how the datapath is.
	Report(context.Context) (Report, error)
	// Explain says what would become of a packet. It changes nothing.
	Explain(context.Context, loader.Packet) (loader.Explanation, error)
	// Remove detaches the program and removes all pins. The datapath is closed
	// then, also after an error.
	Remove() error
}

// Settings are what a configuration asks of the datapath as a whole.
type Settings struct {
	// Interfaces are named in the file. None: choose those on which traffic
	// to Virtual arrives and to Servers leaves.
	Interfaces []string
	Mode       model.XDPMode
	// FlowTable is how many flows of each family new maps have room for; 0 is
	// the loader's default.
	FlowTable uint32
	// The time-outs of idle flows; 0 is IPVS's default.
	TimeoutTCP, TimeoutTCPFin, TimeoutUDP time.Duration
	// Virtual are the addresses of the services that XDP runs, Servers those
	// of their servers. Both are sorted, each address once.
	Virtual, Servers []netip.Addr
	// Routed are the interfaces on which VRRP has addresses of Virtual while
	// this host is master.
	Routed map[netip.Addr]string
	// ServiceCount and ServerCount are how many of each XDP shall run; a
	// server counts in each of its services.
	ServiceCount, ServerCount uint32
	// OnlyLeft says that no service is to run in XDP: it is started only
	// where an earlier run has left something.
	OnlyLeft bool
}

// Report is the state of the datapath.
type Report struct {
	Datapath api.Datapath
	// PinDir is where the datapath is pinned.
	PinDir string
	Flows  api.FlowTable
	// Reasons counts packets since the datapath began, in order of number.
	Reasons []api.Reason
}
