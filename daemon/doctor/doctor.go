package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/netif"
)

// Level says how bad a finding is.
type Level string

// The levels. A daemon does not do its work with a failure, and does with a
// warning.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failure Level = "failure"
)

// Finding is one thing that was looked at.
type Finding struct {
	Subject string `json:"subject"`
	Level   Level  `json:"level"`
	// Found is what was found, in one line.
	Found string `json:"found"`
	// Fix says in one line what to do; empty when all is well.
	Fix string `json:"fix,omitempty"`
}

// Options say what to look at. The zero value looks at the machine only.
type Options struct {
	// File is a configuration to look at, too; empty for none.
	File string
	// ConfigID is as in config.Options.
	ConfigID string
	// PinDir and Socket are those of the daemon; empty ones are the defaults.
	PinDir, Socket string
}

// Network is what is read of the network. netif.Kernel is the real one.
type Network interface {
	Links() ([]netif.Link, error)
	ChooseXDP(vips, servers []netip.Addr) ([]netif.Choice, error)
	Forwarding() (bool, error)
	IsLocal(netip.Addr) (bool, error)
}

var _ Network = (*netif.Kernel)(nil)

// Examine looks at everything, in the order in which a start would meet it.
func Examine(ctx context.Context, n Network, o Options) []Finding {
	if o.PinDir == "" {
		o.PinDir = loader.DefaultDir
	}
	if o.Socket == "" {
		o.Socket = api.DefaultSocket
	}
	findings := fromFacts(loader.Probe(o.PinDir))
	running, ours := lookForDaemon(ctx, o)
	findings = append(findings, running)
	var cfg *config.Config
	if o.File != "" {
		var more []Finding
		cfg, more = readConfig(o)
		findings = append(findings, more...)
	}
	if vrrpAlone(cfg) {
		findings = withoutDatapath(findings)
	}
	e := examination{network: n, cfg: cfg, ours: ours, probe: ipvs.Probe}
	return append(findings, e.run()...)
}

// vrrpAlone reports whether a configuration has nothing but VRRP, which runs
// without a datapath.
func vrrpAlone(cfg *config.Config) bool {
	return cfg != nil && len(cfg.Services) == 0 && len(cfg.VRRP.Instances) > 0
}

// withoutDatapath softens what only the datapath needs. The capabilities that
// VRRP needs, too, begin with CAP_NET_.
func withoutDatapath(findings []Finding) []Finding {
	for i, f := range findings {
		switch loader.FactKind(f.Subject) {
		case loader.FactPrivileges:
			if strings.Contains(f.Found, "CAP_NET_") {
				continue
			}
		case loader.FactBPF, loader.FactBPFFS, loader.FactPins:
		default:
			continue
		}
		if f.Level == Failure {
			findings[i].Level = Warning
			findings[i].Found += "; VRRP runs without it, and virtual servers would not"
		}
	}
	return findings
}

// Failed reports whether a finding is a failure.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Failure {
			return true
		}
	}
	return false
}

func fromFacts(facts []loader.Fact) []Finding {
	findings := make([]Finding, 0, len(facts))
	for _, f := range facts {
		level := OK
		switch {
		case !f.OK && f.Needed:
			level = Failure
		case !f.OK:
			level = Warning
		}
		findings = append(findings, Finding{Subject: string(f.Kind), Level: level, Found: f.Found, Fix: f.Fix})
	}
	return findings
}

// owned says what is known of Evenkeel's own programs on the interfaces.
type owned struct {
	// by is by interface, in words: the daemon, or what a dead one left.
	by map[string]string
	// unsure is set when a daemon runs that may not be asked.
	unsure bool
}

// lookForDaemon asks the daemon, or looks at what a dead one left.
func lookForDaemon(ctx context.Context, o Options) (Finding, owned) {
	f := Finding{Subject: "daemon", Level: OK}
	status, err := api.NewClient(o.Socket).Status(ctx)
	switch {
	case err == nil:
		f.Found = fmt.Sprintf("runs already (pid %d)", status.PID)
		return f, ownedBy(status)
	case errors.Is(err, api.ErrNoDaemon):
		left := leftBehind(o.PinDir)
		f.Found = "none runs on " + o.Socket
		if len(left.by) > 0 {
			f.Level = Warning
			f.Found += ", but the datapath of a dead one does"
			f.Fix = "take it over with evenkeel run, or end it with evenkeel stop"
		}
		return f, left
	}
	f.Level, f.Found = Warning, err.Error()
	f.Fix = "run doctor as root"
	return f, owned{unsure: true}
}

// ownedBy returns the interfaces that a running daemon has its program on.
func ownedBy(s api.Status) owned {
	o := owned{by: make(map[string]string)}
	for _, i := range s.Datapath.Interfaces {
		if i.Mode != "" {
			o.by[i.Name] = fmt.Sprintf("runs Evenkeel's program (%s)", i.Mode)
		}
	}
	return o
}

// leftBehind returns the interfaces whose links are pinned. The pin of an
// interface has its name, with dots percent-encoded.
func leftBehind(pinDir string) owned {
	o := owned{by: make(map[string]string)}
	entries, err := os.ReadDir(filepath.Join(pinDir, "links"))
	if errors.Is(err, fs.ErrPermission) {
		o.unsure = true
	}
	for _, entry := range entries {
		if name, err := url.PathUnescape(entry.Name()); err == nil {
			o.by[name] = "runs the program of a dead daemon"
		}
	}
	return o
}

func readConfig(o Options) (*config.Config, []Finding) {
	f := Finding{Subject: "config", Level: OK, Found: o.File}
	cfg, err := config.Load(o.File, config.Options{ConfigID: o.ConfigID})
	if err != nil {
		f.Level, f.Found = Failure, err.Error()
		f.Fix = "mend the file; evenkeel check -f shows all of it"
		return nil, []Finding{f}
	}
	report := cfg.Report()
	switch {
	case report.Errors > 0:
		f.Level = Failure
		f.Found = fmt.Sprintf("%s: %d errors, %d warnings", o.File, report.Errors, report.Warnings)
		f.Fix = "mend what evenkeel check -f " + o.File + " shows"
	case len(cfg.Services) == 0 && len(cfg.VRRP.Instances) == 0:
		f.Level, f.Found = Warning, o.File+" has no virtual server and no vrrp_instance that can run"
		f.Fix = "add a virtual_server or a vrrp_instance block"
	default:
		f.Found = fmt.Sprintf("%s: %d services, %d VRRP instances, %d warnings", o.File, len(cfg.Services), len(cfg.VRRP.Instances), report.Warnings)
	}
	return cfg, []Finding{f}
}
