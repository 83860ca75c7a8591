package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Options say how a configuration is read. The zero value is useful.
type Options struct {
	// ConfigID is the word that @ID lines are compared with (keepalived's
	// -i). Default: the host name up to its first dot. @evenkeel lines are
	// always kept, whatever the ID is.
	ConfigID string
	// Getenv resolves ${_ENV NAME}. Default: os.Getenv.
	Getenv func(string) string
	// Limits bound what a file can make Load allocate.
	Limits Limits
	// Expanded gets the configuration as it was read, one statement a line,
	// with includes, conditions, definitions and sequences carried out. Read
	// again it means the same. Default: nobody.
	Expanded io.Writer
}

// Config is a configuration that was read. It is never changed afterwards.
type Config struct {
	Global model.Global
	// Services are the virtual servers that can run, in the order of the
	// files.
	Services []model.VirtualServer
	// VRRP is what the VRRP blocks say, as far as it can run.
	VRRP model.VRRP
	// Diagnostics are all complaints in the order of the files.
	Diagnostics []Diagnostic
	// Keywords says for each keyword that the files use whether it runs.
	Keywords []KeywordUse
	// Files are the paths of all files read, the named one first.
	Files []string

	found Snapshot
}

// HasErrors reports whether something does not run as it was written. A
// reload shall be refused then.
func (c *Config) HasErrors() bool {
	for _, d := range c.Diagnostics {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Load reads the configuration file at path and everything that it includes.
//
// The error is an *UnparsableError when the files cannot be used as a whole;
// the Config is nil then. Everything else is in Config.Diagnostics: an
// error there concerns one service or one line, and the rest of the Config
// can run.
func Load(path string, opts Options) (*Config, error) {
	return load(osFiles{}, path, opts)
}

func load(from fileSystem, path string, opts Options) (*Config, error) {
	fs := record(from, path)
	host, _ := os.Hostname() // without one, @ID lines match nothing
	if opts.ConfigID == "" {
		opts.ConfigID, _, _ = strings.Cut(host, ".")
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	r := newReader(fs, opts)
	if err := r.run(path); err != nil {
		return nil, unparsable(r, err)
	}
	if opts.Expanded != nil {
		if err := printTree(opts.Expanded, r.tree.root); err != nil {
			return nil, fmt.Errorf("print the expanded configuration: %w", err)
		}
	}
	lint := newLinter(&r.collector, newLanguage())
	lint.run(r.tree.root)
	build := newBuilder(&r.collector, opts.Limits.orDefault())
	routers := newVRRPBuilder(build, fs, host)
	// Tracked things come first, since checks and instances find them wherever
	// they stand, unlike in keepalived.
	routers.each(r.tree.root, routers.tracker)
	build.trackFiles = routers.files
	build.run(r.tree.root)
	routers.run(r.tree.root)
	build.syncInstance(routers.out.Instances)
	if build.global.RouterID == "" {
		build.global.RouterID = host
	}
	return &Config{
		Global:      build.global,
		Services:    build.services,
		VRRP:        routers.out,
		Diagnostics: r.sorted(),
		Keywords:    lint.keywords(),
		Files:       r.files,
		found:       fs.found,
	}, nil
}

// unparsable makes the error of Load from what stopped the reader.
func unparsable(r *reader, err error) error {
	f, ok := errors.AsType[*fatal](err)
	if !ok {
		return err
	}
	r.complaints = append(r.complaints, placed{f.at, f.d})
	return &UnparsableError{Fatal: f.d, Diagnostics: r.sorted(), Files: r.files, Cause: f.cause}
}
