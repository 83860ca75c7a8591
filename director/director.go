package director

import (
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// Director holds the state of all virtual services. It belongs to one
// goroutine.
type Director struct{}

// New returns a director and the change that starts services from nothing.
// A service that is named twice runs as it is named first.
func New(services []model.VirtualServer, caps Capabilities) (*Director, Change) {
	return &Director{}, Change{}
}

// Adopt returns a director for services of which some run already, as after a
// crash of the daemon, and the change from what runs to what is wanted.
// running has one entry for each datapath that was asked. Services that run
// and are not wanted are deleted.
func Adopt(services []model.VirtualServer, caps Capabilities, running map[model.DatapathChoice]model.Tables) (*Director, Change) {
	return &Director{}, Change{}
}

// Verdict takes a server in or out. A verdict that changes nothing, or on a
// server that is not in the configuration, gives an empty change.
func (d *Director) Verdict(v health.Verdict) Change { return Change{} }

// Reload replaces the configuration. Servers that stay keep their verdict and
// services their quorum state; new servers start by their alpha rule.
func (d *Director) Reload(services []model.VirtualServer, caps Capabilities) Change { return Change{} }

// Targets returns what the health runner is to check: all servers of the
// services that run, with what they count as now.
func (d *Director) Targets() []health.Target { return nil }

// Repair returns the steps that bring a datapath whose tables are known to
// what is wanted of it, as after a failed Apply.
func (d *Director) Repair(datapath model.DatapathChoice, running model.Tables) []Step { return nil }

// Snapshot returns the state of all services in the order of the file.
func (d *Director) Snapshot() Snapshot { return Snapshot{} }
