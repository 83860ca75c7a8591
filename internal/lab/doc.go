// Package lab builds networks out of network namespaces on one machine, for
// tests, the demo and benchmarks.
//
// A Lab owns nodes (one named namespace each, visible to ip netns), the links
// between them and everything that was started in them. LANs are bridges in a
// namespace of their own. DR, NAT, OneArmNAT, TwoInterfaceDR and Both
// build the networks that a load balancer is put into.
//
// The links are ready for native XDP: the far end of every link to a switch
// runs an XDP_PASS program, since veth drops what XDP_TX and redirect send to
// an end without one, and transmit offloads are off, since frames from local
// sockets would otherwise carry unfinished checksums.
//
// The package never touches the namespace that it is called from, nor
// /sys/fs/bpf, and does not import testing: package labtest adds what tests
// want. Close removes everything, and Clean removes by prefix what a killed
// program left.
//
// All functions need root. The netns tier tests it against the real kernel.
package lab
