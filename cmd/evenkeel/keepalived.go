package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// lineOption is one option of a command line that is read as getopt_long does.
type lineOption struct {
	short byte // 0: none
	long  string
	// arg names the argument, "" for none; in brackets an optional one, which
	// is written into the same word as the option.
	arg  string
	help string
	// note says that the option is accepted and why it has no effect.
	note string
}

// keepalivedOptions are those of keepalived 2.4, in the order of its help.
func keepalivedOptions() []lineOption {
	const noSNMP = "SNMP is not supported yet"
	return []lineOption{
		{short: 'f', long: "use-file", arg: "FILE", help: "Use the specified configuration file, default " + defaultFile},
		{short: 'P', long: "vrrp", help: "Only run the VRRP subsystem"},
		{short: 'C', long: "check", help: "Only run the virtual services and their checks"},
		{short: 'B', long: "no_bfd", help: "Don't run the BFD subsystem", note: "BFD is not supported yet"},
		{long: "all", help: "Run all subsystems, even without configuration", note: "they are one process"},
		{short: 'l', long: "log-console", help: "Log to the local console"},
		{short: 'D', long: "log-detail", help: "Log more"},
		{short: 'S', long: "log-facility", arg: "FACILITY", help: "Set the syslog facility: 0 to 7, local0 to local7, user or daemon (default)"},
		{short: 'G', long: "no-syslog", help: "Don't log by syslog"},
		{short: 'g', long: "log-file", arg: "[FILE]", help: "Also log to FILE, default /tmp/keepalived.log"},
		{long: "flush-log-file", help: "Flush the log file at each write", note: "it always is"},
		{short: 'u', long: "umask", arg: "MASK", help: "umask for the creation of files, in octal"},
		{short: 'X', long: "release-vips", help: "Drop addresses on transition from signal", note: "addresses always are dropped at stop"},
		{short: 'V', long: "dont-release-vrrp", help: "Don't remove addresses and routes at stop", note: "not supported yet"},
		{short: 'I', long: "dont-release-ipvs", help: "Don't remove the virtual services at stop", note: "use evenkeel stop --keep"},
		{short: 'R', long: "dont-respawn", help: "Don't respawn the worker: run as one process"},
		{short: 'n', long: "dont-fork", help: "Stay in the foreground"},
		{short: 'd', long: "dump-conf", help: "Log what was made of the configuration"},
		{short: 'p', long: "pid", arg: "FILE", help: "Write the process id of the supervising process to FILE"},
		{short: 'r', long: "vrrp_pid", arg: "FILE", help: "Write that of the worker to FILE while VRRP runs"},
		{short: 'c', long: "checkers_pid", arg: "FILE", help: "Write that of the worker to FILE while checks run"},
		{short: 'b', long: "bfd_pid", arg: "FILE", help: "Accepted", note: "BFD is not supported yet"},
		{short: 'T', long: "genhash", help: "Act as genhash (this must be the first option)"},
		{short: 'a', long: "address-monitoring", help: "Report changes of addresses", note: "not supported yet"},
		{short: 'x', long: "snmp", help: "Accepted", note: noSNMP},
		{short: 'A', long: "snmp-agent-socket", arg: "FILE", help: "Accepted", note: noSNMP},
		{short: 's', long: "namespace", arg: "NAME", help: "Run in network namespace (overrides config)"},
		{short: 'm', long: "core-dump", help: "Accepted", note: "no core is written"},
		{short: 'M', long: "core-dump-pattern", arg: "[PATTERN]", help: "Accepted", note: "no core is written"},
		{short: 'L', long: "mem-check-log", help: "Accepted", note: "there is nothing to check"},
		{long: "no-mem-check", help: "Accepted", note: "there is nothing to check"},
		{long: "perf", arg: "[WHEN]", help: "Accepted", note: "not supported"},
		{long: "debug", arg: "[FLAGS]", help: "Accepted", note: "not supported"},
		{long: "ignore-sigint", help: "Ignore SIGINT"},
		{short: 'e', long: "all-config", help: "A missing configuration file is an error"},
		{short: 'i', long: "config-id", arg: "ID", help: "Skip lines beginning with @ that don't match ID, or @^ that do; default the node name"},
		{long: "signum", arg: "NAME", help: "Print the number of the signal for STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON"},
		{short: 't', long: "config-test", arg: "[FILE]", help: "Check the configuration, write what is wrong to FILE, default standard error"},
		{short: 'v', long: "version", help: "Print the version"},
		{short: 'h', long: "help", help: "Print this"},
	}
}

// readOptions is a command line that was read: the arguments of each option
// by its long name, "" for those without one, in their order.
type readOptions struct {
	given map[string][]string
	// extra are arguments that belong to no option.
	extra []string
	// ignored are the notes of options without effect, in their order.
	ignored []string
}

func (l readOptions) has(long string) bool { return len(l.given[long]) > 0 }

// last returns the last argument of an option, or what holds without it.
func (l readOptions) last(long, otherwise string) string {
	if list := l.given[long]; len(list) > 0 {
		return list[len(list)-1]
	}
	return otherwise
}

// readLine reads a command line as getopt_long does: options and
// arguments in any order, flags in one word (-lnD), an argument in the word of
// its option (-fFILE, --use-file=FILE) or behind it, long names cut short
// while they are unique, nothing but arguments after --.
func readLine(options []lineOption, args []string) (readOptions, error) {
	l := readOptions{given: make(map[string][]string)}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var err error
		switch {
		case word == "--":
			l.extra = append(l.extra, args...)
			return l, nil
		case strings.HasPrefix(word, "--"):
			args, err = l.long(options, word, args)
		case len(word) > 1 && word[0] == '-':
			args, err = l.short(options, word[1:], args)
		default:
			l.extra = append(l.extra, word)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *readOptions) long(options []lineOption, word string, rest []string) ([]string, error) {
	name, value, inside := strings.Cut(word[2:], "=")
	var match []lineOption
	for _, o := range options {
		if o.long == name {
			match = []lineOption{o}
			break
		}
		if strings.HasPrefix(o.long, name) {
			match = append(match, o)
		}
	}
	switch {
	case len(match) != 1:
		return rest, usageText(fmt.Sprintf("Unknown option %s", word))
	case inside && match[0].arg == "":
		return rest, usageText(fmt.Sprintf("Unknown option %s", word))
	}
	return l.take(match[0], value, inside, "--"+match[0].long, rest)
}

func (l *readOptions) short(options []lineOption, flags string, rest []string) ([]string, error) {
	for i := range len(flags) {
		at := slices.IndexFunc(options, func(o lineOption) bool { return o.short == flags[i] })
		if at < 0 {
			return rest, usageText(fmt.Sprintf("Unknown option -%c", flags[i]))
		}
		o := options[at]
		if o.arg != "" {
			return l.take(o, flags[i+1:], i+1 < len(flags), "-"+string(flags[i]), rest)
		}
		if _, err := l.take(o, "", false, "", nil); err != nil {
			return rest, err
		}
	}
	return rest, nil
}

// take notes an option. Its argument is value when it was inside the word, or
// else the next word.
func (l *readOptions) take(o lineOption, value string, inside bool, spelled string, rest []string) ([]string, error) {
	if o.arg != "" && o.arg[0] != '[' && !inside {
		if len(rest) == 0 {
			return rest, usageText(fmt.Sprintf("Missing parameter for option %s", spelled))
		}
		value, rest = rest[0], rest[1:]
	}
	l.given[o.long] = append(l.given[o.long], value)
	if o.note != "" {
		l.ignored = append(l.ignored, fmt.Sprintf("--%s: %s", o.long, o.note))
	}
	return rest, nil
}

// lineHelp writes the options.
func lineHelp(w io.Writer, program string, options []lineOption) {
	fmt.Fprintf(w, "Usage: %s [OPTION...]\n", program)
	for _, o := range options {
		short := "   "
		if o.short != 0 {
			short = "-" + string(o.short) + ","
		}
		long := "--" + o.long
		switch {
		case strings.HasPrefix(o.arg, "["):
			long += "[=" + o.arg[1:]
		case o.arg != "":
			long += "=" + o.arg
		}
		help := o.help
		if o.note != "" {
			help += "; no effect: " + o.note
		}
		fmt.Fprintf(w, "  %s %-28s %s\n", short, long, help)
	}
}

// keepalivedSignal returns the number of a signal by keepalived's name. The
// numbers are those of glibc.
func keepalivedSignal(name string) (string, bool) {
	number, ok := map[string]int{
		"STOP": 15, "RELOAD": 1, "DATA": 10, "STATS": 12, "JSON": 36, "STATS_CLEAR": 63,
	}[name]
	return strconv.Itoa(number), ok
}

// usageText is a mistake in a command line, in keepalived's words.
type usageText string

func (u usageText) Error() string { return string(u) }

// usageError ends a command line that is wrong, as keepalived does.
func (e *env) usageError(err error) int {
	fmt.Fprintln(e.stderr, err)
	return exitFailed
}
