//go:build !race

package vrrp

const schedules = 3000
