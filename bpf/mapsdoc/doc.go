// Command mapsdoc writes the tables of fields in docs/maps.md from the types in
// the BPF object, and adds a section for a map that has none. It runs in
// package bpf, by go generate; what else stands on the page it leaves alone.
package main
