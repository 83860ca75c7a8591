// Package acceptance holds the tests of the main job as a whole: what a user is
// promised of the balancer, on the real program, real links and real traffic.
//
// Each test builds a network of namespaces (internal/lab), runs the program in
// it as a process, built once for the test run, and looks at it from outside
// only: by what clients and servers see, by the command line, by bpftool. It
// never calls the packages that it tests, but for the types of their JSON.
//
// All tests are of tier netns. The package takes as long as the longest
// time-out of a connection, two minutes, and fills that with the other tests.
package acceptance
