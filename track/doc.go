// Package track watches what VRRP instances and checkers depend on: the scripts
// of vrrp_script, the numbers of track_file and the processes of
// vrrp_track_process. It says when one turns, and why (Tracker).
//
// It owns when a script runs and what its results mean (script.go), how a file
// is read (number.go), which process counts (match.go), and what a weight makes
// of a status (weight.go). These parts are pure functions over tables that were
// measured on keepalived 2.2.7; where they are kinder, they say so. Links and BFD
// sessions are watched by others; weight.go knows them.
//
// Scripts differ from keepalived's in three ways. So that many with the same
// interval do not march in step, the second run comes after a random part of
// the interval; from then on runs are exactly an interval apart. A run over its
// time-out counts as failed at the time-out. A script that cannot be run is
// disabled only until it can be: it is tried again at each interval.
//
// Where the kernel gives no process events, since the daemon is in another
// network or PID namespace or lacks CAP_NET_ADMIN, processes are counted once a
// second. An overflow of events leads to a new count.
//
// The package never runs a script itself, changes no priority, and does not know
// who tracks what. A change that is undone before it was read is not told.
//
// Tests put scripts and process tables of their own into synctest bubbles for
// all that has to do with time; files are real, in temporary folders; a table of
// process tests runs against the fake source and, in the netns tier, against the
// kernel's.
package track
