// Package guest runs a program, most often a Go test binary, as root under
// another kernel, and brings back its output and exit status. There is no disk
// image, no network and no KVM: the machine's first root file system is made
// for each run and holds the program, kernel modules and nothing else that was
// not asked for.
//
// A Kernel is an unpacked Debian package, which Fetch downloads into a cache
// without installing anything. Three lanes run the same binary:
//
//	fast     user-mode-linux: native speed, one processor, no BPF JIT, no BTF
//	normal   QEMU by software emulation: kernels 6.1, 6.12 and the newest
//	counted  the same with -icount: time counts instructions, idle time is
//	         skipped, so that a time-out of minutes takes seconds
//
// Package pid1 is the other half, the first process in the machine; command
// is the program bin/guest, for go test -exec, and is both halves in one file.
//
// Tests of build tag vm are named for where they run: TestXDP... needs the
// BPF JIT and so runs in the lane normal, and for make test in counted;
// TestXDPLong... too, but not for make test; TestCounted... in the lane counted
// only, and all others in fast and normal.
//
// The package knows no test and never installs or loads anything on the
// machine that it runs on. Its unit tests read archives, module descriptions
// and apt's sources; those of tier vm run in the machine that it makes.
package guest
