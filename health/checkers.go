package health

import (
	"context"

	"github.com/evenkeel/evenkeel/model"
)

// Scripts runs scripts; package notify has the real one.
type Scripts interface {
	// Run runs s and returns when no process of it is left. It calls outcome
	// once, when the outcome is known, unless ctx ends before: then it ends
	// the script.
	Run(ctx context.Context, s model.Script, outcome func(model.ScriptResult))
}

// Files tells the values of track_files.
type Files interface {
	// Value returns the value of the track_file name, which is 0 where the
	// file is missing or has no number. It reports false for a name that is
	// not known.
	Value(name string) (value int64, ok bool)
}

// CheckersOptions configure Checkers.
type CheckersOptions struct {
	// Scripts runs MISC_CHECK; optional, without it none can be tried.
	Scripts Scripts
	// Files has the values for FILE_CHECK; optional, without it none can be
	// tried.
	Files Files
}

// Checkers is the Examiner of all kinds of checks. Its methods may be called
// from any goroutine.
type Checkers struct {
	opts         CheckersOptions
	patterns     patterns
	certificates certificates
	pings        pings
}

// NewCheckers returns the checkers.
func NewCheckers(o CheckersOptions) *Checkers { return &Checkers{opts: o} }

// Probe implements Prober.
func (k *Checkers) Probe(ctx context.Context, c model.Check) error { return k.Examine(ctx, c).Err }

// Examine implements Examiner.
func (k *Checkers) Examine(ctx context.Context, c model.Check) Answer {
	switch c.Kind {
	case model.TCPCheck:
		return unconnected(TCP{}.Probe(ctx, c))
	case model.HTTPGet, model.SSLGet:
		return k.http(ctx, c)
	case model.SMTPCheck:
		return smtp(ctx, c)
	case model.DNSCheck:
		return dns(ctx, c)
	case model.UDPCheck:
		return udp(ctx, c)
	case model.PingCheck:
		return k.pings.ping(ctx, c)
	case model.MiscCheck:
		return k.misc(ctx, c)
	case model.FileCheck:
		return k.file(c)
	case model.BFDCheck:
		return Answer{Err: notTried("BFD_CHECK is not supported yet")}
	}
	return Answer{Err: notTried("%s is not a check that runs", c.Kind)}
}
