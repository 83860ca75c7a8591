// Package director decides what each virtual service runs: it turns the
// configuration and the verdicts on real servers into ordered operations.
//
// It owns which servers are in a service's table, quorum and sorry server,
// and which datapath runs a service and why. The wanted table of a service is
// a function of its configuration, of which servers are alive and of the
// quorum state (table.go). A change yields the operations from the table
// before to the table after (reconcile.go), so nothing is ever sent twice.
//
// A check may change the weight of its server (misc_dynamic). The changed weight
// is what the table holds and what counts for the quorum; it stays until the
// next verdict, over reloads too. Whether XDP can run a service is judged by the
// weights of the file.
//
// Servers that come in are added before those that go are taken out, in the
// order of the file. So when quorum is lost the sorry server comes in first,
// then the failed and the remaining servers leave; when it is regained the live
// servers come in first and the sorry server leaves last. No moment is
// without a server unless there is none. (keepalived takes the failed server
// out before it puts the sorry server in; the tables after are the same, and so
// is their order.) One exception: a service that would hold more than 256
// servers for that moment has the leaving ones taken out first.
//
// After a crash of the daemon the tables that still run are adopted. A
// server that is missing from them, or has weight 0 where the file says more,
// had failed, was held back by a sorry server, or is new in the file; it
// counts as down until its first check succeeds, which is made within two
// seconds. So a restart never sends flows to a dead server. A server in the
// table counts as up and proven. Servers without checks are always up.
//
// The director is plain data owned by one goroutine: no goroutines, no locks,
// no kernel; its only input besides arguments is the time of day, for display.
//
// Tests are tables for quorum and placement, and a property: whatever the
// history of verdicts and reloads, the operations applied to a naive table
// give what a fresh computation gives. Another test runs the director with a
// real health runner through random reloads and restarts and asks that both
// always end up with the same view of every server.
package director
