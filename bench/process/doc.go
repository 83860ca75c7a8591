// Package process runs the programs that benches measure on nodes of a lab: it
// starts them with their output in a file, awaits what they do, and ends them with
// all that they started.
//
// It knows no program and measures nothing but what a process uses. Its unit tests
// read values of /proc; starting and ending is tested by the benches' smoke runs.
package process
