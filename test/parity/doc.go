// Package parity plays the same random operations and packets on the kernel's
// IPVS and on the model (sched), and compares the chosen server, the packet
// that leaves and every server's counters after each step. The packet tests in
// bpf do the same between the model and the XDP program, on the same kernels,
// and so the three agree.
//
// Packets enter and leave by TUN devices, on which the kernel has done its
// work when a write returns, so nothing waits for time to pass. The tests are
// those of tier vm; they print their seed. EVENKEEL_PARITY_STEPS says how many
// steps all of them take together, and EVENKEEL_PARITY_SEED repeats one run.
package parity
