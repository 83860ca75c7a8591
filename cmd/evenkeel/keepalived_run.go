package main

import (
	"context"
	"errors"
	"fmt"
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
		fmt.Fprint(e.stderr, keepalivedVersion(versionText()))
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
	if !worker {
		name := l.last("namespace", "")
		if name == "" {
			name = namespaceOf(l.last("use-file", defaultFile), config.Options{ConfigID: l.last("config-id", "")})
		}
		if err := enterNamespace(name); err != nil {
			return err
		}
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
	use := func(cfg *config.Config) (_ *config.Config, err error) {
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
	return e.serve(ctx, o, log, config.Options{ConfigID: l.last("config-id", "")}, use)
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

// likeKeepalived is the release whose command line, configuration test and dumps
// ours are like.
const likeKeepalived = "2.2.7"

// keepalivedVersion returns what -v says. Roles and exporters take keepalived's
// release from the first line, some up to its last blank, so that there is none
// behind it but one.
func keepalivedVersion(ours string) string {
	return fmt.Sprintf("Keepalived v%s (evenkeel-%s)\n\nEvenkeel %[2]s, called as keepalived, whose release %[1]s it is like\n",
		likeKeepalived, strings.Join(strings.Fields(ours), "-"))
}
