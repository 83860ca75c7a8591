// Package pid1 is the first process in a machine of package guest, and the
// kernel's module loader there. It mounts what a program expects, runs the one
// command that it was given and says how that ended, on the kernel's console.
//
// It runs nowhere else: Main refuses when it is not the first process. What it
// does is tested by every run of tier vm.
package pid1
