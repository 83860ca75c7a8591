// Command evenkeel is the one binary: the daemon and everything that looks at
// it or steers it.
//
// It owns the command line: subcommands, their flags, what they print and the
// exit codes (exit.go, docs/cli.md). Nouns read, verbs change. It never
// decides anything about a service; the packages below do.
//
// Each command is a function of an env, so tests call it without a process.
// Tests are golden files for what is printed and scripts (testdata/script) for
// the commands that need no privilege.
package main
