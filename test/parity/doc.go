// Package parity plays the same random operations and packets on the kernel's
// IPVS, on the XDP datapath in the same kernel, and on the model (sched), and
// compares the chosen server, the packet that leaves and every server's counters
// after each step. Where a kernel has no JIT and so no XDP, IPVS and the model
// play alone.
//
// Packets enter and leave by TUN devices, on which the kernel has done its
// work when a write returns, so nothing waits for time to pass; XDP is package
// loader's, with its program as it is pinned, run by BPF_PROG_TEST_RUN. The tests are
// those of tier vm; they print their seed. EVENKEEL_PARITY_STEPS says how many
// steps all of them take together, and EVENKEEL_PARITY_SEED repeats one run.
package parity
