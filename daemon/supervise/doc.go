// Package supervise keeps the daemon alive: a small parent process runs it as a
// worker, the same program once more, and starts it again when it dies.
//
// It owns when a worker is started again and when not, the line between parent
// and worker, and what passes over it.
//
// A worker that dies by a signal, by a panic, or by an error after it was ready
// is started again: the first time at once, then after pauses that double from
// 100 ms to 5 s, until one has run well for a while. A worker that ends well
// ends the parent, and so does one that could not start when none had been ready
// yet, with its exit code. Once one was ready, a failed start is tried again
// like any death: the configuration that ran was good, and addresses are still
// in place. After such a start, or deaths in a row, workers are told to begin
// with the configuration that last ran well, until a reload asks for the file.
//
// Signals are passed on as soon as the worker listens: before that they would
// kill it. A stop that comes between two workers starts one at once, and one that
// a worker dies of starts one more, since only a worker can say goodbye and take
// away what the dead one left. What the worker
// tells the service manager is told by the parent, the one process that the
// manager listens to.
//
// When the parent dies, the worker stops as by SIGTERM: it hands its addresses
// over and ends. It could go on, but nobody would start it again, and its socket
// would be in the way of the next start. A service manager ends it at that
// moment in any case, with all others of its unit, and keepalived's children do
// the same.
//
// It never looks at a configuration, an address or a packet, so that there is
// next to nothing in the parent that can break.
//
// Tests run the parent with workers that are no processes inside
// testing/synctest, and with real ones that do what they are told.
package supervise
