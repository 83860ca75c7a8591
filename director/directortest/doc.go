// Package directortest has a datapath that keeps its tables in memory, for
// tests of the director and of the daemon.
//
// It is as strict as IPVS: what is added must not be there, what is edited or
// deleted must be. It forwards nothing and knows no schedulers. The
// director's own tests exercise it.
package directortest
