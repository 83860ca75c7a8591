package lbmaps

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/model"
)

// ServiceStats returns the totals of the service with this id over all CPUs.
func (m *Maps) ServiceStats(id uint32) (model.Counters, error) {
	total, err := sumStats(m.serviceStats, id)
	if err != nil {
		return model.Counters{}, fmt.Errorf("read statistics of service %d: %w", id, err)
	}
	return total, nil
}

// ServerStats returns the totals of the server in a slot over all CPUs.
func (m *Maps) ServerStats(slot uint32) (model.Counters, error) {
	total, err := sumStats(m.serverStats, slot)
	if err != nil {
		return model.Counters{}, fmt.Errorf("read statistics of server %d: %w", slot, err)
	}
	return total, nil
}

// Overload returns what the service with this id lost to overload, over all CPUs.
func (m *Maps) Overload(id uint32) (model.Overload, error) {
	var cpus []bpf.EkOverload
	if err := m.overload.Lookup(id, &cpus); err != nil {
		return model.Overload{}, fmt.Errorf("read overload of service %d: %w", id, err)
	}
	var total model.Overload
	for _, c := range cpus {
		total.Limited += c.Limited
		total.Evicted += c.Evicted
	}
	return total, nil
}

// ResetService sets the statistics of a service's id to zero, before a new
// service gets it.
func (m *Maps) ResetService(id uint32) error {
	if err := resetStats(m.serviceStats, id); err != nil {
		return fmt.Errorf("reset statistics of service %d: %w", id, err)
	}
	cpus, err := ebpf.PossibleCPU()
	if err == nil {
		err = m.overload.Put(id, make([]bpf.EkOverload, cpus))
	}
	if err == nil {
		err = m.limits.Put(id, bpf.EkLimit{})
	}
	if err != nil {
		return fmt.Errorf("reset overload of service %d: %w", id, err)
	}
	return nil
}

func sumStats(m *ebpf.Map, index uint32) (model.Counters, error) {
	var cpus []bpf.EkStats
	if err := m.Lookup(index, &cpus); err != nil {
		return model.Counters{}, err
	}
	var total model.Counters
	for _, c := range cpus {
		total = total.Add(model.Counters{
			Conns: c.Conns, InPkts: c.InPkts, OutPkts: c.OutPkts, InBytes: c.InBytes, OutBytes: c.OutBytes,
		})
	}
	return total, nil
}

func resetStats(m *ebpf.Map, index uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return m.Put(index, make([]bpf.EkStats, cpus))
}

// Reasons returns how many packets ended in each reason, over all CPUs, since
// the maps were made. Every reason of this version is there, and others that
// were counted.
func (m *Maps) Reasons() (map[reasons.Reason]uint64, error) {
	counts := map[reasons.Reason]uint64{}
	for _, r := range reasons.All() {
		counts[r] = 0
	}
	for i := range m.reasons.MaxEntries() {
		var cpus []uint64
		if err := m.reasons.Lookup(i, &cpus); err != nil {
			return nil, fmt.Errorf("read reasons: %w", err)
		}
		for _, n := range cpus {
			if n != 0 {
				counts[reasons.Reason(i)] += n
			}
		}
	}
	return counts, nil
}
