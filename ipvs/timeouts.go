package ipvs

import (
	"fmt"

	moby "github.com/moby/ipvs"
)

// setTimeouts sets those that are not zero; zero leaves the kernel's as it is.
// The caller has seen that the kernel has IPVS, without which moby/ipvs reports
// success.
func setTimeouts(t Timeouts) error {
	if t == (Timeouts{}) {
		return nil
	}
	h, err := moby.New("")
	if err != nil {
		return fmt.Errorf("set time-outs: %w", err)
	}
	defer h.Close()
	err = h.SetConfig(&moby.Config{TimeoutTCP: t.TCP, TimeoutTCPFin: t.TCPFin, TimeoutUDP: t.UDP})
	if err != nil {
		return fmt.Errorf("set time-outs: %w", err)
	}
	return nil
}

// SetTimeouts changes the time-outs of idle flows, for all of IPVS in this
// network namespace; zero leaves one as it is.
func (v *IPVS) SetTimeouts(t Timeouts) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	return setTimeouts(t)
}

// Timeouts returns the time-outs of idle flows.
func (v *IPVS) Timeouts() (Timeouts, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return Timeouts{}, ErrClosed
	}
	h, err := moby.New("")
	if err != nil {
		return Timeouts{}, fmt.Errorf("read time-outs: %w", err)
	}
	defer h.Close()
	c, err := h.GetConfig()
	if err != nil {
		return Timeouts{}, fmt.Errorf("read time-outs: %w", err)
	}
	return Timeouts{TCP: c.TimeoutTCP, TCPFin: c.TimeoutTCPFin, UDP: c.TimeoutUDP}, nil
}
