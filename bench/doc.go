// Package bench measures what packets cost.
//
// The program level runs the XDP program, with maps filled by the loader as the
// daemon fills them, over frames that only BPF_PROG_TEST_RUN sees: no
// interface, no traffic. Every figure is net of the driver that makes the
// frames (package drive), is measured in rounds that alternate with the
// driver alone and with the least that a balancer must do, and is printed as a median
// with its interval. Nanoseconds do not travel from machine to machine; the ratios
// to the floor of the same run do.
//
// It owns the cases, the rounds and the report; package figure holds and compares
// the values. It decides nothing about the datapath and leaves nothing behind.
//
// Cases and report are tested by tables; the rig runs once with few packets
// in tier bpf, where every case must end in the verdict and the reason that it
// is meant to measure. No test compares times.
package bench
