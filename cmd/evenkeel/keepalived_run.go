package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// keepalived runs keepalived's command line and returns its exit code.
func (e *env) keepalived(ctx context.Context, args []string) int {
	if len(args) > 0 && (args[0] == "-T" || args[0] == "--genhash") {
		return e.genhash(ctx, args[1:])
	}
	worker := len(args) > 0 && args[0] == "--"+workerFlag
	if worker {
		args = args[1:]
	}
	l, err := readLine(keepalivedOptions(), args)
	if err != nil {
		return e.usageError(err)
	}
	if len(l.extra) > 0 {
		fmt.Fprintf(e.stdout, "Unexpected argument(s): %s \n", strings.Join(l.extra, " "))
	}
	switch {
	case l.has("version"):
		fmt.Fprintf(e.stderr, "Evenkeel %s, called as keepalived\n", versionText())
		return exitOK
	case l.has("help"):
		lineHelp(e.stderr, "keepalived", keepalivedOptions())
		return exitOK
	case l.has("signum"):
		name := l.last("signum", "")
		number, ok := keepalivedSignal(name)
		if !ok {
			fmt.Fprintf(e.stderr, "Unknown sigfunc %s\n", name)
			return exitFailed
		}
		fmt.Fprintln(e.stdout, number)
		return exitOK
	case l.has("namespace"):
		return e.usageError(fmt.Errorf("-s %s is not supported; start it by: ip netns exec %[1]s keepalived OPTIONS", l.last("namespace", "")))
	case l.has("config-test"):
		return e.configTest(l)
	}
	if err := e.keepalivedDaemon(ctx, l, args, worker); err != nil {
		if exit, ok := errors.AsType[*exitError](err); !ok || !exit.silent {
			fmt.Fprintln(e.stderr, oneLine(err))
		}
		return codeOf(err)
	}
	return exitOK
}

func (e *env) keepalivedDaemon(ctx context.Context, l readOptions, args []string, worker bool) error {
	mask, err := strconv.ParseUint(l.last("umask", "0"), 8, 9)
	if err != nil {
		return fmt.Errorf("-u %s is not an octal number", l.last("umask", ""))
	}
	if !l.has("dont-fork") {
		return inBackground(args)
	}
	if l.has("umask") {
		syscall.Umask(int(mask))
	}
	log, done, err := e.keepalivedLog(l)
	if err != nil {
		return err
	}
	defer done()
	if !worker {
		for _, note := range l.ignored {
			log.Warn("option without effect", "option", note)
		}
	}
	o := runOptions{
		where: where{socket: api.DefaultSocket, pinDir: loader.DefaultDir},
		file:  l.last("use-file", defaultFile), dumpDir: dumpDir, worker: worker,
	}
	if l.has("ignore-sigint") {
		o.deaf = append(o.deaf, syscall.SIGINT)
	}
	if !worker && !l.has("dont-respawn") {
		return supervised(o, log, workerArgs(args, ""))
	}
	pids := pidFiles{parent: os.Getpid()}
	if worker {
		pids.parent = os.Getppid()
	}
	defer pids.remove()
	first := true
	load := func(path string) (*config.Config, error) {
		cfg, err := config.Load(path, config.Options{ConfigID: l.last("config-id", "")})
		if err != nil {
			return nil, err
		}
		cfg = subsystems(cfg, l)
		if first {
			first = false
			err = pids.write(l, cfg)
			if l.has("dump-conf") {
				var text strings.Builder
				_ = cfg.Report().WriteText(&text)
				log.Info("configuration", "report", text.String())
			}
		}
		return cfg, err
	}
	return e.serve(ctx, o, log, load)
}

// subsystems leaves out what -P or -C alone do not start.
func subsystems(cfg *config.Config, l readOptions) *config.Config {
	vrrp, check := l.has("vrrp"), l.has("check")
	if vrrp == check {
		return cfg
	}
	part := *cfg
	if vrrp {
		part.Services = nil
	} else {
		part.VRRP = model.VRRP{Files: cfg.VRRP.Files}
	}
	return &part
}

// inBackground starts the same command again without a terminal.
func inBackground(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"keepalived", "--dont-fork"}, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	return cmd.Process.Release()
}

// keepalivedLog returns the log that the options ask for: the console with -l,
// the system log without -G, a file with -g.
func (e *env) keepalivedLog(l readOptions) (*slog.Logger, func(), error) {
	level := slog.LevelInfo
	if len(l.given["log-detail"]) > 1 {
		level = slog.LevelDebug
	}
	var outs []io.Writer
	var closers []io.Closer
	if l.has("log-console") {
		outs = append(outs, e.stderr)
	}
	if l.has("log-file") {
		name := l.last("log-file", "")
		if name == "" {
			name = "/tmp/keepalived.log"
		}
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, nil, fmt.Errorf("open log file: %w", err)
		}
		outs, closers = append(outs, file), append(closers, file)
	}
	facility, err := syslogFacility(l.last("log-facility", "daemon"))
	if err != nil {
		return nil, nil, err
	}
	if !l.has("no-syslog") && !l.has("log-console") {
		if w, err := syslog.New(facility|syslog.LOG_INFO, "Keepalived"); err == nil {
			outs, closers = append(outs, w), append(closers, w)
		} else if len(outs) == 0 {
			// Without a system log it is better to be heard than not.
			outs = append(outs, e.stderr)
		}
	}
	done := func() {
		for _, c := range closers {
			_ = c.Close()
		}
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: plainDurations}
	return slog.New(slog.NewTextHandler(io.MultiWriter(outs...), opts)), done, nil
}

func syslogFacility(name string) (syslog.Priority, error) {
	switch name {
	case "daemon":
		return syslog.LOG_DAEMON, nil
	case "user":
		return syslog.LOG_USER, nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name, "local"))
	if err != nil || n < 0 || n > 7 {
		return 0, usageText(fmt.Sprintf("Invalid log facility '%s'", name))
	}
	return syslog.LOG_LOCAL0 + syslog.Priority(n<<3), nil
}

// pidFiles are those that were written. They name this process, but for the one
// of the process that people send signals to.
type pidFiles struct {
	parent   int
	removers []func()
}

// write writes the pid files: the one of keepalived's parent always, those of
// its children where the command line names them and the part runs.
func (p *pidFiles) write(l readOptions, cfg *config.Config) error {
	name := "keepalived"
	if cfg.Global.Instance != "" {
		name += "_" + cfg.Global.Instance
	}
	dir := "/run/"
	if cfg.Global.UsePIDDir {
		dir += "keepalived/"
	}
	pids := make(map[string]int)
	if len(cfg.VRRP.Instances) > 0 {
		pids[l.last("vrrp_pid", "")] = os.Getpid()
	}
	if len(cfg.Services) > 0 {
		pids[l.last("checkers_pid", "")] = os.Getpid()
	}
	pids[l.last("pid", dir+name+".pid")] = p.parent
	delete(pids, "")
	var errs []error
	for path, pid := range pids {
		remove, err := writePIDFile(path, pid)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.removers = append(p.removers, remove)
	}
	return errors.Join(errs...)
}

func (p *pidFiles) remove() {
	for _, remove := range p.removers {
		remove()
	}
}
