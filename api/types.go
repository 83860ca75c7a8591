package api

import (
	"time"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
)

// Status is the daemon at one moment.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// UptimeSeconds counts by the monotonic clock.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// State is running, or stopping once a stop was asked for.
	State      string `json:"state"`
	ConfigFile string `json:"config_file"`
	Socket     string `json:"socket"`
	PinDir     string `json:"pin_dir"`
	// Running is the load whose configuration runs.
	Running Load `json:"running"`
	// LastReload is the last attempt to reload, whatever came of it; absent
	// before the first. LastRefusal is the last one that was refused.
	LastReload  *Load    `json:"last_reload,omitempty"`
	LastRefusal *Load    `json:"last_refusal,omitempty"`
	Datapath    Datapath `json:"datapath"`
	// VRRP is empty without a vrrp_instance.
	VRRP     []VRRPSummary `json:"vrrp"`
	Services []Summary     `json:"services"`
	Packets  Packets       `json:"packets"`
	// Reasons leaves out those that never occurred.
	Reasons []Reason     `json:"reasons"`
	Flows   FlowTable    `json:"flows"`
	Checks  CheckSummary `json:"checks"`
}

// Load is one reading of the configuration.
type Load struct {
	At time.Time `json:"at"`
	// Cause is what asked for it: start, SIGHUP, or api with uid and pid.
	Cause string `json:"cause"`
	// OK is set when this configuration was taken over.
	OK bool `json:"ok"`
	// Error says in one line why it was not.
	Error string `json:"error,omitempty"`
	// Errors and Warnings count the diagnostics, Services the services, and
	// Instances the VRRP instances.
	Errors    int `json:"errors"`
	Warnings  int `json:"warnings"`
	Services  int `json:"services"`
	Instances int `json:"instances"`
	// RestartNeeded are settings that changed and that only a restart applies,
	// one line each.
	RestartNeeded []string `json:"restart_needed,omitempty"`
	// LastGood says why this is not the configuration of the file but the one
	// that had last run well; empty for that of the file.
	LastGood string `json:"last_good,omitempty"`
}

// Datapath is what carries the packets.
type Datapath struct {
	// Running is false when no program is loaded, and Detail then says why.
	Running bool   `json:"running"`
	Detail  string `json:"detail,omitempty"`
	// Kernel is the running kernel's release.
	Kernel string `json:"kernel"`
	// Adopted is set when this daemon took over what another had left
	// running.
	Adopted bool `json:"adopted"`
	// LastError is the last change that the datapath did not take, and
	// LastErrorAt when; absent when there was none since it last went well.
	LastError   string      `json:"last_error,omitempty"`
	LastErrorAt *time.Time  `json:"last_error_at,omitempty"`
	Interfaces  []Interface `json:"interfaces"`
	// IPVS is the kernel's, on which services run that XDP does not.
	IPVS IPVS `json:"ipvs"`
}

// IPVS is the kernel's IPVS as far as the daemon has it.
type IPVS struct {
	// Running is set when the daemon has found it, and Detail says why not.
	Running bool   `json:"running"`
	Detail  string `json:"detail,omitempty"`
	// SyncDaemon says what lvs_sync_daemon runs, or why nothing; empty without.
	SyncDaemon string `json:"sync_daemon,omitempty"`
}

// Interface is one network interface and what the program does there.
type Interface struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	// Mode is native or generic; empty when the program is not attached.
	Mode string `json:"mode"`
	// Reason says why this mode, or why not attached.
	Reason string `json:"reason,omitempty"`
	// VLANs are the VLAN devices whose frames the program balances here, by name.
	VLANs []string `json:"vlans,omitempty"`
	// Problem says in one line what is wrong with the interface, and what to do.
	Problem string `json:"problem,omitempty"`
}

// Summary is one virtual service in a few words.
type Summary struct {
	Service   string `json:"service"`
	Scheduler string `json:"scheduler"`
	// Datapath is xdp, ipvs or none, Reason why not xdp.
	Datapath     string `json:"datapath"`
	Reason       string `json:"reason,omitempty"`
	QuorumUp     bool   `json:"quorum_up"`
	Quorum       uint32 `json:"quorum"`
	AliveWeight  uint64 `json:"alive_weight"`
	ServersAlive int    `json:"servers_alive"`
	Servers      int    `json:"servers"`
	// SorryActive is set while the sorry server stands in.
	SorryActive bool `json:"sorry_active"`
	// Unresolved counts the servers in the table without a next hop.
	Unresolved int            `json:"unresolved"`
	Overload   model.Overload `json:"overload"`
}

// Packets counts by what became of them; see Reasons for why.
type Packets struct {
	// XDP is Forwarded, Answered and Dropped together: what never reached
	// the kernel. Passed went to the kernel.
	XDP       uint64 `json:"xdp"`
	Passed    uint64 `json:"passed"`
	Forwarded uint64 `json:"forwarded"`
	Answered  uint64 `json:"answered"`
	Dropped   uint64 `json:"dropped"`
}

// Reason is one reason of package bpf/reasons with its packets.
type Reason struct {
	Number  uint32 `json:"number"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
	Packets uint64 `json:"packets"`
}

// FlowTable is how full the table of flows is.
type FlowTable struct {
	// Used is what the last sweep met.
	Used     uint64 `json:"used"`
	Capacity uint64 `json:"capacity"`
	// Expired counts the idle flows that were ended since the daemon
	// started, Refused those that found the table full since it was made.
	Expired uint64 `json:"expired"`
	Refused uint64 `json:"refused"`
}

// CheckSummary counts the checks.
type CheckSummary struct {
	Total    int `json:"total"`
	Up       int `json:"up"`
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	// Suspended checks rest (ha_suspend).
	Suspended int `json:"suspended,omitempty"`
}

// MoveRequest asks to move a service.
type MoveRequest struct {
	// Service is a key as Services lists it, or its address and port where only
	// one service has them.
	Service string `json:"service"`
	// Datapath is xdp or ipvs.
	Datapath string `json:"datapath"`
}

// Move is what became of a move.
type Move struct {
	Service string `json:"service"`
	// From and To are xdp or ipvs; the same where the service ran there already.
	From string `json:"from"`
	To   string `json:"to"`
	// Flows are those that the service had, and Arrived those that it has now.
	Flows   int `json:"flows"`
	Arrived int `json:"arrived"`
	// UntilReload is set for a move that was made: the next reload, or start,
	// follows the file again.
	UntilReload bool `json:"until_reload"`
	// Refused says why the service stays where it is; empty when it moved.
	Refused string `json:"refused,omitempty"`
}

// Diff is what a reload of a configuration would do.
type Diff struct {
	// File is the configuration that was compared.
	File string `json:"file"`
	// Refused says why the reload would be refused; nothing would change then.
	Refused string   `json:"refused,omitempty"`
	Changes []Change `json:"changes"`
	// RestartNeeded names settings that only a restart changes.
	RestartNeeded []string `json:"restart_needed,omitempty"`
}

// Same reports whether nothing would change.
func (d Diff) Same() bool {
	return d.Refused == "" && len(d.Changes) == 0 && len(d.RestartNeeded) == 0
}

// Change is one thing that a reload would do.
type Change struct {
	// Action is what it does, such as add server, change or start.
	Action string `json:"action"`
	// Object is what it does it to, such as [192.0.2.1]:tcp:80 or vrrp_instance
	// VI_1.
	Object string `json:"object"`
	// Datapath is xdp or ipvs for operations on a datapath, else empty.
	Datapath string `json:"datapath,omitempty"`
	// Detail is one line for people.
	Detail string `json:"detail,omitempty"`
}

// String returns the change as one line.
func (c Change) String() string {
	line := c.Action + " " + c.Object
	if c.Detail != "" {
		line += ": " + c.Detail
	}
	if c.Datapath != "" {
		line += " (" + c.Datapath + ")"
	}
	return line
}

// DiffRequest asks what a reload of a file would do.
type DiffRequest struct {
	// File is an absolute path where the daemon runs; empty is the daemon's own.
	File string `json:"file"`
}

// Services is every virtual service with its servers.
type Services struct {
	// Daemon is false when no daemon runs and the values were read from the
	// pinned maps. Health and configuration are then unknown.
	Daemon   bool      `json:"daemon"`
	Services []Service `json:"services"`
}

// Service is one virtual service, what is wanted and what runs.
type Service struct {
	// Service is the key as it is logged: [192.0.2.1]:tcp:80 or FWM 7.
	Service string `json:"service"`
	// Protocol is TCP, UDP, SCTP, or FWM for a firewall mark.
	Protocol string `json:"protocol"`
	Address  string `json:"address,omitempty"`
	Port     uint16 `json:"port"`
	FWMark   uint32 `json:"fwmark,omitempty"`
	// Scheduler and Flags are as ipvsadm prints them.
	Scheduler string   `json:"scheduler"`
	Flags     []string `json:"flags"`
	// Datapath is xdp, ipvs or none, Reason why not xdp.
	Datapath   string `json:"datapath"`
	Reason     string `json:"reason,omitempty"`
	ReasonWord string `json:"reason_word,omitempty"`
	// Health is absent when no daemon runs.
	Health   *ServiceHealth `json:"health,omitempty"`
	Counters model.Counters `json:"counters"`
	Overload model.Overload `json:"overload"`
	// Servers are those in the table, newest first as the datapath holds
	// them, and then those that are held out, in the order of the file.
	Servers []RealServer `json:"servers"`
}

// ServiceHealth is a service's quorum.
type ServiceHealth struct {
	QuorumUp    bool      `json:"quorum_up"`
	QuorumSince time.Time `json:"quorum_since"`
	Quorum      uint32    `json:"quorum"`
	Hysteresis  uint32    `json:"hysteresis"`
	AliveWeight uint64    `json:"alive_weight"`
}

// RealServer is one real server of a service.
type RealServer struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	// Forward is NAT, DR, TUN or Local.
	Forward string `json:"forward"`
	// InTable is set when the datapath has the server. Weight is then its
	// weight there, else the configured one.
	InTable bool  `json:"in_table"`
	Weight  int32 `json:"weight"`
	// Sorry marks the sorry server.
	Sorry bool `json:"sorry,omitempty"`
	// Active and Inactive are IPVS's ActiveConn and InActConn.
	Active   uint32         `json:"active"`
	Inactive uint32         `json:"inactive"`
	Counters model.Counters `json:"counters"`
	// Health is absent when no daemon runs, NextHop for a server that is not
	// in the table.
	Health  *ServerHealth `json:"health,omitempty"`
	NextHop *NextHop      `json:"next_hop,omitempty"`
}

// ServerHealth is the verdict on a server.
type ServerHealth struct {
	Alive  bool      `json:"alive"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// NextHop is where frames to a server leave.
type NextHop struct {
	Interface string `json:"interface,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	MAC       string `json:"mac,omitempty"`
	Resolved  bool   `json:"resolved"`
	Reason    string `json:"reason,omitempty"`
}

// Flows is every live connection entry. Its list is written while it is read,
// so Error comes last.
type Flows struct {
	Flows []Flow `json:"flows"`
	// Error is set when the reading broke off; the list is then incomplete.
	Error string `json:"error,omitempty"`
}

// Flow is one live connection entry.
type Flow struct {
	Protocol string `json:"protocol"`
	Client   string `json:"client"`
	Virtual  string `json:"virtual"`
	Server   string `json:"server"`
	Forward  string `json:"forward"`
	// State is IPVS's name, such as ESTABLISHED, or UDP.
	State string `json:"state"`
	// ExpiresSeconds is the time left without another packet.
	ExpiresSeconds float64 `json:"expires_seconds"`
}

// Checks is the state of all checks.
type Checks struct {
	// InFlight tries are running, of at most MaxInFlight; Waiting ones are due
	// but wait for one of those to end.
	InFlight    int             `json:"in_flight"`
	MaxInFlight int             `json:"max_in_flight"`
	Waiting     int             `json:"waiting"`
	Servers     []CheckedServer `json:"servers"`
}

// CheckedServer is one server of one service with its checks.
type CheckedServer struct {
	Service string `json:"service"`
	Server  string `json:"server"`
	Up      bool   `json:"up"`
	// Suspended is set while the checks rest (ha_suspend).
	Suspended bool      `json:"suspended,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Since     time.Time `json:"since"`
	Checks    []Check   `json:"checks"`
}

// Check is one check.
type Check struct {
	Kind string `json:"kind"`
	// Position is file:line:column of the check.
	Position string `json:"position"`
	// To is where the check connects to; empty for those that do not.
	To string `json:"to,omitempty"`
	// Object is what the check is about: To, a script, a track_file.
	Object string `json:"object"`
	Up     bool   `json:"up"`
	// Since is when the check turned up or down, or began.
	Since time.Time `json:"since"`
	// Failures counts the failed tries in a row that retry forgave so far.
	Failures uint32 `json:"failures"`
	Running  bool   `json:"running"`
	// Due is when the next try is to start.
	Due time.Time `json:"due"`
	// Last is the last try; absent before the first one ended.
	Last *Try `json:"last,omitempty"`
	// LastFailure is the last failed try; absent before the first. It stays
	// when later tries succeed.
	LastFailure *Try `json:"last_failure,omitempty"`
	// Tries counts all; those that neither succeeded nor failed could not be
	// made.
	Tries     uint64 `json:"tries"`
	Successes uint64 `json:"successes"`
	Failed    uint64 `json:"failed"`
	Changes   uint64 `json:"changes"`
}

// Try is what one try of a check showed.
type Try struct {
	At          time.Time `json:"at"`
	TookSeconds float64   `json:"took_seconds"`
	// Result is succeeded, failed, or not tried.
	Result string `json:"result"`
	// Error is the cause of a failure in plain words.
	Error string `json:"error,omitempty"`
	// From is the source that the check asks for (bindto), if any.
	From string `json:"from,omitempty"`
	// Path is that of the url that was tried.
	Path string `json:"path,omitempty"`
	// Sent and Received are excerpts, in printable characters, of what went to
	// the server and what came back, of failed tries only.
	Sent     string `json:"sent,omitempty"`
	Received string `json:"received,omitempty"`
}

// Config is what the configuration said.
type Config struct {
	Running Load          `json:"running"`
	Report  config.Report `json:"report"`
	// Refused is the report on the last configuration that was refused.
	Refused *config.Report `json:"refused,omitempty"`
}

// StopRequest asks the daemon to stop.
type StopRequest struct {
	// Keep leaves the datapath running: packets flow on and the next start
	// takes it over.
	Keep bool `json:"keep"`
}

// StopResult says what became of the datapath.
type StopResult struct {
	// Removed is set when the program is detached and its maps are gone.
	Removed bool   `json:"removed"`
	Error   string `json:"error,omitempty"`
}
