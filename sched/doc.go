// Package sched says what IPVS would choose.
//
// It replays operations (Op) on services, since IPVS decides by history:
// a new server is linked at the head of its service's list, an edit leaves it
// where it is, a deleted server whose flows live on comes back with its
// counters. State is the model; its tables fill the XDP program's maps, and it
// is the oracle in tests.
//
// It never reaches the kernel and knows no maps. Tests are the golden
// sequences measured on real kernels, and properties of random histories.
package sched
