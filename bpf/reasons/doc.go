// Package reasons names what the XDP program did with a packet.
//
// Every packet that the program sees ends in exactly one reason: it was
// passed to the kernel, dropped, answered or forwarded. reasons.json is the
// one list; the C enum (bpf/include/reasons.h), the Go table here and the
// manual's table (docs/reasons.md) are generated from it. A number is never
// given to another reason: a retired one stays in the list.
//
// It reads no maps (package lbmaps does). Tests check that the list is
// well formed.
package reasons

//go:generate go run ./gen
