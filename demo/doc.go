// Package demo shows virtual services and their failover at work on one machine:
// a client, two directors and three servers in network namespaces, the real
// daemon with a real keepalived.conf, and steady requests.
//
// It owns the network it draws, the story that it plays (all servers up, one
// dies, it returns, a reload drains another; then the master loses its power,
// returns, and is stopped), the claims that the story proves or not, and the
// screen. The second director can be keepalived's. Everything it makes is named
// after the demo: namespaces, a directory below /run, a pin directory. It is the
// caller of internal/lab and of the daemons' sockets, and runs each daemon as a
// process of its own, from this same executable; it never looks into a map and
// never changes anything outside its namespaces and directories.
//
// Who is master is seen by who has the virtual addresses, whatever program runs
// there. A machine that loses its power is a daemon that is killed together with
// all that it started, links that are gone at once, and a namespace, pins and
// files that do not come back.
//
// The story, the tally, the claims and the screen are pure: they see the world
// through the interface stage and turn values into text. Tests run the story
// on a fake stage in virtual time, with each claim broken once. The netns tier
// builds the program, runs the whole demo, and looks for what it left behind; the
// interop tier does so with keepalived.
package demo
