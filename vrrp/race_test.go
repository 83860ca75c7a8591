//go:build race

package vrrp

// The race detector has nothing to find in a model without goroutines.
const schedules = 200
