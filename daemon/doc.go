// Package daemon wires the parts into the running program: configuration,
// elections, datapath, director, checks, the socket, signals and readiness.
//
// It owns the order of things. Start: read the file, take the socket, start or
// take over the datapath, begin the elections (before the datapath, where this
// host was master a moment ago), let the director compare what runs with what is
// wanted, apply the difference, begin to check, answer requests, say ready. A
// start that fails has changed nothing that outlives it. Stop: say stopping,
// give up mastership and serve on until somebody else does, end the checks, take
// the datapath away (or leave it, when asked to keep), answer whoever asked,
// close the socket. When a part of the daemon fails, the
// datapath is kept: packets flow on and the next start takes over.
//
// One goroutine, the loop, owns the director and all changes to the datapath.
// Verdicts, reloads, queries and signals come to it over channels. Reading a
// configuration is done beside it, so a large file delays no verdict.
//
// A reload that cannot be taken over as a whole is refused: the running
// configuration stays, and log, socket and service manager get the reason.
//
// A configuration that has run for a while is kept, for a process that follows
// one which died again and again (lastgood.go).
//
// Every change of a server or a quorum is told by scripts, FIFOs and mail as
// keepalived tells it (service_notices.go).
//
// Signals that keepalived's exporters send write its dumps (package dump).
//
// It never judges a server, never chooses a datapath and touches no kernel
// interface: Machine and XDP are its view of the host. host.go makes
// them of packages loader and netif.
//
// Tests drive whole daemons with a fake machine inside testing/synctest.
package daemon
