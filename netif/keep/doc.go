// Package keep puts virtual addresses, routes and rules in place and keeps
// them there.
//
// It owns the comparison of what instances want with what the kernel has: a
// Keeper adds what is missing, takes away what is given up, puts back what
// somebody else has removed and says who did it, and recognises what an earlier
// process left, by Protocol. It works in batches on a goroutine of its own, so
// that 1000 addresses hold nobody up, and giving up comes before taking.
//
// It never decides what is wanted, never announces an address, and leaves alone
// what is neither wanted nor marked.
//
// The Keeper reaches the kernel through a small interface. One table of tests
// runs against a fake kernel in virtual time and against namespaces (netns
// tier).
package keep
