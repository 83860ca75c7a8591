// Command tally runs the test tiers and counts what they did.
//
//	go run ./internal/tally unit bpf netns interop vm-short
//
// It owns how a tier is run (which build tag, which packages, how long), the
// readable log of a run and its last line, "N passed, N failed, N skipped",
// which counts each test once: a test with subtests counts as its subtests. A
// package that does not build, panics, times out or ends early counts as a
// failure, and so does a tier in which no test was found. With CI=true a skip
// is a failure too, unless the table in skips.go gives the reason for it.
//
// The tiers vm and vm-short run in machines with other kernels (internal/guest).
// A machine that cannot run here, because its kernel cannot be fetched or does
// not start, is one skip with its reason, also with CI=true.
//
// It never decides what a test needs: the test skips itself and says what is
// missing. It uses the standard library only.
//
// Its tests feed recorded output of go test -json and a small tree of files
// with build tags.
package main
