// Package priority gives the process the place among others that the
// configuration asks for: vrrp_priority, vrrp_rt_priority, vrrp_no_swap and
// vrrp_cpu_affinity.
//
// It owns the scheduling of all threads of the process. An advert passes
// through several of them, so that raising one would gain nothing. Children are
// not meant: who starts one restores, on the thread that does, what the process
// was started with.
//
// It decides nothing and does nothing that the configuration does not ask for.
//
// The tests lower priorities, which needs no privilege, and raise them where
// they may.
package priority
