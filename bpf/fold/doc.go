// Package fold shortens programs by what is certain when they are loaded: constants that are set by then, and
// where the entries of maps with one entry lie. steps.go has the program with jumps that know where they
// lead, so that instructions can be taken out and moved; lookup.go and known.go put in what is
// certain, which ways.go follows through the program; needed.go and straight.go take out and move what that leaves.
//
// It knows nothing of what a program does, nor when to load it (package loader). Tests in the tier bpf
// have the kernel run random programs before and after.
package fold
