// Package health runs the checkers of real servers and says which servers are
// up.
//
// It owns when a check runs, what a result means (state.go) and the evidence
// for each verdict. The timing is keepalived's: a check runs first at one
// second plus a random part of warmup; without alpha it counts as up until
// then and its first failure takes the server down at once, with alpha it
// counts as down until its first success. After a success, retry further
// failures are allowed, delay_before_retry apart. While a check is down it is
// tried each delay_loop and one success brings it up. A server is up while no
// check of it is down.
//
// So that thousands of checks do not march in step, each pause of delay_loop
// is drawn evenly from 95 % to 105 % of it. The mean stays, and checks that
// started together drift apart. Pauses between retries are exact.
//
// All checks share one goroutine that keeps them ordered by due time. Each try
// in flight has a goroutine of its own, no thread, and their number is
// bounded. A slow try holds back nobody while the bound is not reached; beyond
// it, due checks wait in the order in which they were due, and Snapshot counts
// them.
//
// The package never touches a datapath, knows no quorum and never decides what
// a verdict does to a service; that is the director's.
//
// Tests run the state machine as tables, the runner with a scripted prober
// inside testing/synctest bubbles (10,000 checks among them), and the same
// verdict table against real listeners on the loopback interface.
package health
