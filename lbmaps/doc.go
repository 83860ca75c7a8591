// Package lbmaps reads and writes the maps of the XDP program as typed values.
//
// It is the Go side of bpf/include/contract.h: addresses are netip values here
// and v4-mapped bytes in network order there, and what several CPUs counted is
// summed. Maps opens the pinned maps, for reading only if so wished, or takes
// those of a loaded collection.
//
// Dump decodes any of the maps by its BTF types, for people to read.
//
// It has no policy: it never decides what to write, in which order, or when a
// slot is free (package loader does), and it neither loads nor pins anything.
// Each method is one or a few system calls and may be called from several
// goroutines; the kernel makes single entries whole, nothing more.
//
// The unit tests turn values to bytes and back and compare the constants with
// the C header; the tests in tier bpf do the same through real maps.
package lbmaps
