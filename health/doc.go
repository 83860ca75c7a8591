// Package health runs the checkers of real servers and says which servers are
// up, and what checks do to their weights.
//
// It owns when a check runs, what a result means (state.go), the checkers
// themselves (Checkers) and the evidence for each verdict. The timing is
// keepalived's: a check runs first at one second plus a random part of warmup;
// without alpha it counts as up until then and its first failure takes the
// server down at once, with alpha it counts as down until its first success.
// After a success, retry further failures are allowed, delay_before_retry apart.
// While a check is down it is tried each delay_loop and one success brings it
// up. A server is up while no check of it is down.
//
// Some kinds differ, as they do in keepalived. HTTP_GET and SSL_GET try one url
// at each delay_loop and come up when the url that failed has succeeded and
// then all urls have. SMTP_CHECK always has its retries. The period of
// MISC_CHECK counts from start to start. FILE_CHECK is tried when its file
// changes (Touch).
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
// The verdicts of the checkers are keepalived's where a working setup could
// tell. Where they are kinder it is for the better: headers of more than 4 KiB,
// banners of several lines, a regex that sees the body alone and its end. What a
// server sends is bounded in size and time, and printed only with its control
// characters escaped.
//
// The package never touches a datapath, knows no quorum and never decides what
// a verdict does to a service; that is the director's. It runs no process and
// reads no tracked file itself (Scripts, Files).
//
// Tests run the state machine as tables, the runner with a scripted prober
// inside testing/synctest bubbles (10,000 checks among them), and the same
// verdict table against real listeners on the loopback interface. Each checker
// has a table of servers that misbehave, and each protocol a fuzz target. In the
// interop tier keepalived itself checks the same servers, nginx, haproxy, openssl, a
// mail server and dnsmasq among them: its verdicts have to be ours, and the order
// and rhythm of its tries, but for a list of differences with reasons; some of the
// servers are stopped, go on and die meanwhile. 10,000 checks that time out at
// once are in the netns tier.
package health
