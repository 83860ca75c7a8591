// Command scale measures the daemon at the size of the largest configuration
// that was reported for keepalived: 2,277 virtual servers with 37,205 real
// servers and a TCP check each. It runs Evenkeel and the installed keepalived in
// turns on the same file, in network namespaces of this machine: a director, and
// a node that answers for all real servers.
//
// It measures how long the file takes to be checked, from the start of the
// daemon to the first check of every server, processor time and memory while
// checks go on, and a reload with one changed weight. Checks are counted where
// they arrive. Evenkeel writes its XDP maps meanwhile; keepalived's IPVS is a
// stand-in that says yes to everything, so that machines without IPVS can
// measure, and costs it nothing.
//
// It holds no opinion on how either program works. What is not on the wire it
// takes from /proc and from the two lines of the logs that end a reload.
//
// The configuration and the report are tested by tables; a run of a small
// configuration with both programs is an interop test, which asserts that
// something was measured and never how fast.
package main
