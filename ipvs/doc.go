// Package ipvs runs virtual services in the kernel's IPVS, for those that XDP
// does not run. IPVS is a datapath like loader's XDP: the same operations go
// in, the same tables and flows come out.
//
// Services and servers are written and read by generic-netlink requests of
// this package's own, which know address families, 32-bit weights and 64-bit
// counters; time-outs go through moby/ipvs. Flows are read from the proc file
// system, the only place where the kernel shows them. Start asks for the
// kernel's IPVS before anything else, has its module loaded if need be, and
// reports ErrNoIPVS where there is none: without that question moby/ipvs and
// the kernel together acknowledge every request and do nothing.
//
// Services of other programs are left alone: Snapshot shows, and Apply
// touches, only those that it was given (an operation, or Claim).
//
// The package decides nothing: not what runs here, nor in what order. Its unit
// tests hold requests and answers byte for byte against the layout of
// linux/ip_vs.h; those of tier vm run against the kernel, in machines of
// package internal/guest.
package ipvs
