package main

import (
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strconv"
	"strings"
)

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
