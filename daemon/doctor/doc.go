// Package doctor looks at a machine before a daemon runs on it: kernel,
// privileges, bpf file system, other daemons, interfaces, and what a
// configuration asks of them.
//
// It owns what counts as a failure and the line that says how to mend it. It
// changes nothing, sends nothing, and needs no privilege: what it may not see
// is a finding too.
//
// Tests are tables over a fake network.
package doctor
