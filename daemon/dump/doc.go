// Package dump writes what keepalived writes when it gets SIGUSR1, SIGUSR2 or
// SIGRTMIN+2: the state of VRRP in its words, for the exporters and checks that
// read those files.
//
// It owns the three forms (data, stats and JSON, as keepalived 2.2.7 prints
// them) and how a file is put in place: written aside and renamed, since readers
// wait for a few milliseconds only and must not see half of it. What keepalived
// prints about its own insides (sockets, buffers, SNMP, interfaces) is left out.
//
// It decides nothing and asks nobody: a State is all that it knows.
//
// The forms are compared with golden files, and in the interop tier with what
// keepalived itself prints for the same configuration. A test reads them as the
// common exporters do.
package dump
