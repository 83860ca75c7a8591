// Package demo shows a virtual service at work on one machine: a client, a
// director and three servers in network namespaces, the real daemon with a
// real keepalived.conf, and steady requests.
//
// It owns the network it draws, the story that it plays (all servers up, one
// dies, it returns, a reload drains another), the claims that the story proves
// or not, and the screen. Everything it makes is named after the demo:
// namespaces, a directory below /run, a pin directory. It is the caller of
// internal/lab and of the daemon's socket, and runs the daemon as a process of
// its own, from this same executable; it never looks into a map and never
// changes anything outside its namespaces and directories.
//
// The story, the tally, the claims and the screen are pure: they see the world
// through the interface stage and turn values into text. Tests run the story
// on a fake stage in virtual time, with each claim broken once. The netns tier
// builds the program, runs the whole demo, and looks for what it left behind.
package demo
