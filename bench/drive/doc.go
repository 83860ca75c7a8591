// Package drive runs an XDP program over many different packets by one
// BPF_PROG_TEST_RUN: a small program writes the headers of the next packet and
// tail-calls the one that is measured. The same packets leave by an interface in
// runs with live frames, and are counted where they end. Memory says beside it what the
// machine's memory costs.
//
// It owns which packets come and what the driver itself costs; it knows no maps and
// gives no meaning to a verdict. Tested in tier bpf by the package above.
package drive

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3 -Wno-unused-parameter -Wno-unused-const-variable -I../../bpf/include" Drive drive.c
