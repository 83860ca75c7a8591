package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon"
	"github.com/evenkeel/evenkeel/daemon/priority"
)

// dumpDir is where keepalived writes what signals ask for.
const dumpDir = "/tmp"

// runOptions are the flags of run.
type runOptions struct {
	where
	file, configID      string
	logLevel, logFormat string
	dumpDir             string
	pidFile             string
	noSupervise         bool
	// worker is set in the process that a supervising one started.
	worker bool
	// deaf are signals that have no effect.
	deaf []os.Signal
}

func (e *env) runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground.

SIGHUP reloads: a configuration that cannot be taken over as a whole is refused
and the running one stays; evenkeel status says why. SIGTERM and SIGINT stop and
take the datapath away. SIGUSR1, SIGUSR2 and SIGRTMIN+2 write keepalived.data,
.stats and .json into the dump directory, as keepalived does.

The process supervises a worker, which is the daemon, and passes signals on to
it. A worker that is killed or crashes is started again, the first time at once:
packets flow on, addresses stay, and a master goes on as master. When both are
killed the datapath runs on, and the next start takes it over.

Exit codes: 0 stopped, 4 the configuration cannot be used, 10 a privilege is
missing, 11 the kernel cannot run the program, 12 the pin directory cannot be
used, 13 another daemon runs, 14 an interface is missing or busy, 15 the
socket cannot be made, 16 the file asks for IPVS and the kernel has none, 1
anything else.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return e.runDaemon(c.Context(), o) },
	}
	o.flags(c)
	c.Flags().StringVarP(&o.file, "file", "f", defaultFile, "configuration `file`")
	c.Flags().StringVarP(&o.configID, "config-id", "i", "", "`word` that @word lines are compared with (default the host name)")
	c.Flags().StringVar(&o.dumpDir, "dump-dir", dumpDir, "`directory` for what signals ask for, in keepalived's forms")
	c.Flags().StringVar(&o.logLevel, "log-level", "info", "least `level` that is logged: debug, info, warn, error")
	c.Flags().StringVar(&o.logFormat, "log-format", "text", "`format` of the log on standard error: text or json")
	c.Flags().StringVarP(&o.pidFile, "pid", "p", "", "`file` for the number of the process to send signals to, such as /run/keepalived.pid")
	c.Flags().BoolVar(&o.noSupervise, "no-supervise", false, "run as one process, which nobody starts again")
	c.Flags().BoolVar(&o.worker, workerFlag, false, "run under a supervising process")
	if err := c.Flags().MarkHidden(workerFlag); err != nil {
		panic(err) // no such flag
	}
	return c
}

func (e *env) runDaemon(ctx context.Context, o runOptions) error {
	log, err := e.logger(o)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	if !o.worker {
		if err := enterNamespace(namespaceOf(o.file, config.Options{ConfigID: o.configID})); err != nil {
			return err
		}
	}
	if o.pidFile != "" && !o.worker {
		remove, err := writePIDFile(o.pidFile, os.Getpid())
		if err != nil {
			return err
		}
		defer remove()
	}
	if !o.worker && !o.noSupervise {
		return supervised(o, log, workerArgs(e.args, "run"))
	}
	return e.serve(ctx, o, log, config.Options{ConfigID: o.configID}, func(cfg *config.Config) (*config.Config, error) { return cfg, nil })
}

// lastGoodFile is where the configuration that last ran well is kept.
func lastGoodFile(socket string) daemon.FileStore { return daemon.FileStore(socket + ".lastgood") }

// serve runs the daemon on what use makes of o.file.
func (e *env) serve(ctx context.Context, o runOptions, log *slog.Logger, read config.Options, use func(*config.Config) (*config.Config, error)) error {
	resume := hurry()
	defer resume()
	// Signals that come after the end shall do nothing, so nobody resets them.
	signals := make(chan os.Signal, 8)
	takeSignals(signals, o)
	parent := joined{ctx: ctx, tell: notifier(log), stop: func() {}}
	if o.worker {
		var err error
		if parent, err = underParent(ctx, log); err != nil {
			return err
		}
	}
	defer parent.stop()
	// The status shows the path to people who are elsewhere.
	file, err := filepath.Abs(o.file)
	if err != nil {
		return fmt.Errorf("find %s: %w", o.file, err)
	}
	host, err := daemon.NewHost(daemon.HostOptions{PinDir: o.pinDir, Log: log})
	if err != nil {
		return err
	}
	place, err := priority.New()
	if err != nil {
		log.Warn("vrrp_priority and its like have no effect", "error", err)
	}
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog is off", "error", err)
	}
	var store daemon.Store // nobody follows a process without a parent
	if o.worker {
		store = lastGoodFile(o.socket)
	}
	err = daemon.New(daemon.Options{
		File:     file,
		Machine:  host,
		Socket:   o.socket,
		Version:  versionText(),
		Signals:  signals,
		Priority: place,
		DumpDir:  o.dumpDir,
		Watchdog: watchdog,
		Notify:   whenReady(parent.tell, resume),
		Load: func(path string) (*config.Config, error) {
			cfg, err := config.Load(path, read)
			if err != nil {
				return nil, err
			}
			return use(cfg)
		},
		LastGood: store,
		FallBack: parent.lastGood,
		LoadKept: func(s config.Snapshot) (*config.Config, error) {
			cfg, err := config.LoadSnapshot(s, read)
			if err != nil {
				return nil, err
			}
			return use(cfg)
		},
		Log: log,
	}).Run(parent.ctx)
	return errors.Join(err, host.Close())
}

// takeSignals makes a process take the signals of a daemon.
func takeSignals(signals chan<- os.Signal, o runOptions) {
	list := slices.DeleteFunc(daemon.Signals(), func(s os.Signal) bool { return slices.Contains(o.deaf, s) })
	signal.Notify(signals, list...)
	// A broken pipe of a reader of the log must not end the daemon.
	signal.Ignore(append(o.deaf, syscall.SIGPIPE)...)
}

// notifier tells the service manager, if one listens.
func notifier(log *slog.Logger) func(string) {
	return func(state string) {
		if _, err := systemd.SdNotify(false, state); err != nil {
			log.Warn("service manager cannot be told", "error", err)
		}
	}
}

// logger returns the log of the daemon.
func (e *env) logger(o runOptions) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %s is none of debug, info, warn, error", o.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: plainDurations}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(e.stderr, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(e.stderr, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %s is neither text nor json", o.logFormat)
}

// plainDurations writes lengths of time as people do, also in JSON.
func plainDurations(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().Round(time.Millisecond).String())
	}
	return a
}
