// Command failover measures how fast two directors fail over: Evenkeel against
// the installed keepalived, in turns in the same run, with the same
// keepalived.conf, in network namespaces of this machine.
//
// It owns the network (two directors and a client on one switch), the faults,
// a capture of adverts and gratuitous ARP with the kernel's time stamps, a client
// that asks the virtual address a thousand times a second, a canary that notices
// when the machine itself stands still, and the report. It
// holds no opinion on how either program works: both are processes that it
// starts, and what it says comes from the wire. A run that fails is counted and
// shown; the others go on. One that the machine disturbed at the moment that
// counts is repeated, of both programs alike, and stays in the report.
//
// Runs are made one after the other. Faults at adverts every second do little but
// wait: with -lanes several of them go on at the same time, each in a network of
// its own, and meet before and after what they measure. Several invocations add to
// one file of results, from which the report is made:
//
//	bench-failover -runs 20 -lanes 4 -intervals 1s silent link stop kill heal
//	bench-failover -runs 20 -intervals 100ms,10ms silent link stop kill heal
//	bench-failover false instances addresses
//
// The arithmetic, the reading of frames and the report are tested by tables; a
// round of every measure with both programs is an interop test, which asserts
// that something was measured and never how fast.
package main
