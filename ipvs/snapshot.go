package ipvs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"

	"github.com/evenkeel/evenkeel/model"
)

// Snapshot returns this datapath's services as the kernel has them, by
// address, and their servers newest first. The kernel's counters of packets
// lag by up to two seconds; those of flows do not.
func (v *IPVS) Snapshot(ctx context.Context) (model.Tables, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return model.Tables{}, ErrClosed
	}
	all, err := v.services(ctx)
	if err != nil {
		return model.Tables{}, err
	}
	var tables model.Tables
	for _, entry := range all {
		if !v.ours[entry.Key] {
			continue
		}
		if entry.Servers, err = v.servers(ctx, entry.Key); err != nil {
			return model.Tables{}, err
		}
		tables.Services = append(tables.Services, entry)
	}
	return tables, nil
}

// services reads every service of the kernel's, without servers.
func (v *IPVS) services(ctx context.Context) ([]model.ServiceEntry, error) {
	answers, err := v.conn.dump(ctx, cmdGetService, nil)
	if err != nil {
		return nil, fmt.Errorf("ipvs: read services: %w", err)
	}
	var list []model.ServiceEntry
	for _, a := range answers {
		entry, err := decodeService(a.Data)
		if err != nil {
			return nil, fmt.Errorf("ipvs: %w", err)
		}
		list = append(list, entry)
	}
	slices.SortFunc(list, func(a, b model.ServiceEntry) int { return compareKeys(a.Key, b.Key) })
	return list, nil
}

func compareKeys(a, b model.ServiceKey) int {
	return cmp.Or(
		cmp.Compare(a.FWMark, b.FWMark),
		a.Addr.Compare(b.Addr),
		cmp.Compare(a.Protocol, b.Protocol),
	)
}

// servers reads the servers of a service, in the kernel's order.
func (v *IPVS) servers(ctx context.Context, k model.ServiceKey) ([]model.ServerEntry, error) {
	data, err := request(func(e *netlink.AttributeEncoder) { encodeKey(e, k) }, nil)
	if err != nil {
		return nil, err
	}
	answers, err := v.conn.dump(ctx, cmdGetServer, data)
	if err != nil {
		return nil, fmt.Errorf("ipvs: read servers of %s: %w", k, err)
	}
	var list []model.ServerEntry
	for _, a := range answers {
		entry, err := decodeServer(a.Data, family(k.Addr.Addr()))
		if err != nil {
			return nil, fmt.Errorf("ipvs: %s: %w", k, err)
		}
		list = append(list, entry)
	}
	return list, nil
}
