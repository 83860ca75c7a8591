// Package priority gives the process a place among others, in the terms of the
// configuration: vrrp_priority, vrrp_rt_priority, vrrp_no_swap and
// vrrp_cpu_affinity.
//
// It owns the scheduling of all threads of the process. An advert passes
// through several of them, so that raising one would gain nothing. Children are
// not meant: who starts one restores, on the thread that does, what the process
// was started with.
//
// It decides nothing and does nothing that it is not asked for.
//
// The tests lower priorities, which needs no privilege, and raise them where
// they may.
package priority
