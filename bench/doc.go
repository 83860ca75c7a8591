// Package bench measures what packets cost.
//
// The program level runs the XDP program, with maps filled by the loader as the
// daemon fills them, over frames that only BPF_PROG_TEST_RUN sees: no
// interface, no traffic. Every figure is net of the driver that makes the
// frames (package drive), is measured in rounds that alternate with the
// driver alone and with the least that a balancer must do, and is printed as a median
// with its interval. Nanoseconds do not travel from machine to machine; the ratios
// to the floor of the same run do, and those to another program that is measured on the same
// packets in the same rounds.
//
// The path level sends live frames through namespaces, by XDP, IPVS, nftables and
// the kernel's forwarding in turns, and counts what arrives. Level versus is that
// for XDP and IPVS alone, each method and scheduler; in a machine of
// internal/guest whose time counts instructions it is the regression gate. The
// users level runs the real daemon between wrk and nginx, and the scale level
// fills large tables.
//
// The package owns the cases, the rounds and the report; package figure holds and
// compares the values, plot draws them, process runs programs. It decides nothing
// about the datapath and leaves nothing behind.
//
// Cases and report are tested by tables. Each level runs once with few packets, in
// the tiers bpf, netns and interop, where every packet must go the way that is meant to be
// measured. No test compares times.
package bench
