// Command gen writes the C enum, the Go table and the manual's table of
// packet reasons from reasons.json. It runs in bpf/reasons, by go generate.
package main
