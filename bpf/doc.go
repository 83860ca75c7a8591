// Package bpf holds the XDP program: its C sources, and the object and Go
// types that are generated from them.
//
// The way of a packet through the program reads from top to bottom in
// ek.bpf.c; include/ has one header for each concern, and contract.h is what
// both sides of the maps agree on. The object is committed, so that a build
// needs no clang; `make verify` rebuilds it with the pinned clang (19) and
// compares.
//
// The program is built a second time from dry.bpf.c, without effect: it decides
// the same, writes nothing, and tells what it decided (explain.h).
//
// Package fold shortens the program by what a loader has set.
//
// docs/maps.md describes the maps; mapsdoc writes the fields into it.
//
// It decides nothing about when to load, pin or attach (package loader) and
// gives no meaning to map contents (package lbmaps). Tests in the tier bpf
// send packets through the loaded program by BPF_PROG_TEST_RUN.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -type sweep -type import -type publish -type edit -type positions -type flow_key -type flow6_key -type flow -type flow_state -type hot_set -type hot6_set -type scheduler -type forward -type tunnel_type -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3 -Iinclude" Ek ek.bpf.c
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types -type explanation -type assumed -type explained_way -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3 -Iinclude" EkDry dry.bpf.c
//go:generate go run ./mapsdoc
