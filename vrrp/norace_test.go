//go:build !race

package vrrp

const schedules = 3000

const raceEnabled = false
