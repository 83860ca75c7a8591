package lbmaps

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/model"
)

// Service is the head of a virtual service in ek_services.
type Service struct {
	// Key has protocol, address and port; it has no firewall mark.
	Key model.ServiceKey
	// ID is the index of the service in the maps of cursors, orders and
	// statistics.
	ID uint32
	// Scheduler is IPVS's name.
	Scheduler string
	// Flags are IPVS's scheduler flags, 0x08 and 0x10.
	Flags uint8
	// OnePacket schedules each datagram for itself.
	OnePacket bool
	// Persistence is how long a template lives, in whole seconds; 0 none.
	Persistence time.Duration
	// Rate is how many new flows a second may bring, and Burst how many may
	// come at once; 0 no limit.
	Rate, Burst uint32
	// Prefix is how many bits of the client's address a template counts; 0
	// stands for all.
	Prefix uint8
}

// flagOnePacket is SERVICE_ONE_PACKET of contract.h.
const flagOnePacket = 0x04

// wholeAddress is the prefix of a single client of a service.
func wholeAddress(k model.ServiceKey) uint8 { return uint8(k.Addr.Addr().BitLen()) }

func wireService(s Service, number bpf.EkScheduler) bpf.EkService {
	w := bpf.EkService{
		Id: s.ID, Scheduler: number, Flags: s.Flags &^ flagOnePacket,
		Persistence: uint32(s.Persistence / time.Second), Prefix: s.Prefix,
		Rate: s.Rate, Burst: s.Burst,
	}
	if s.OnePacket {
		w.Flags |= flagOnePacket
	}
	if w.Prefix == 0 {
		w.Prefix = wholeAddress(s.Key)
	}
	return w
}

func hostService(k bpf.EkServiceKey, w bpf.EkService) Service {
	s := Service{
		Key: hostKey(k), ID: w.Id, Scheduler: schedulerName(w.Scheduler),
		Flags: w.Flags &^ flagOnePacket, OnePacket: w.Flags&flagOnePacket != 0,
		Persistence: time.Duration(w.Persistence) * time.Second, Prefix: w.Prefix,
		Rate: w.Rate, Burst: w.Burst,
	}
	if s.Prefix == wholeAddress(s.Key) {
		s.Prefix = 0
	}
	return s
}

// Model returns what the entry says of the service.
func (s Service) Model() model.Service {
	return model.Service{
		Key: s.Key, Scheduler: s.Scheduler, SchedFlags: uint32(s.Flags), OnePacket: s.OnePacket,
		Persistence: s.Persistence, PersistencePrefix: s.Prefix, NewFlowRate: s.Rate, NewFlowBurst: s.Burst,
	}
}

// ErrScheduler is returned for a scheduler that the program does not have.
var ErrScheduler = errors.New("no such scheduler in the XDP program")

// schedulers are IPVS's names of those that the program has, by their number.
func schedulers() map[bpf.EkScheduler]string {
	return map[bpf.EkScheduler]string{
		bpf.EkSchedulerSCHED_RR:  "rr",
		bpf.EkSchedulerSCHED_WRR: "wrr",
		bpf.EkSchedulerSCHED_LC:  "lc",
		bpf.EkSchedulerSCHED_WLC: "wlc",
		bpf.EkSchedulerSCHED_SED: "sed",
		bpf.EkSchedulerSCHED_NQ:  "nq",
		bpf.EkSchedulerSCHED_OVF: "ovf",
		bpf.EkSchedulerSCHED_FO:  "fo",
		bpf.EkSchedulerSCHED_SH:  "sh",
		bpf.EkSchedulerSCHED_DH:  "dh",
		bpf.EkSchedulerSCHED_MH:  "mh",
	}
}

// Schedulers returns the names of the schedulers that the program has, sorted.
func Schedulers() []string { return slices.Sorted(maps.Values(schedulers())) }

func schedulerNumber(name string) (bpf.EkScheduler, error) {
	for number, n := range schedulers() {
		if n == name {
			return number, nil
		}
	}
	return 0, fmt.Errorf("%s: %w", name, ErrScheduler)
}

func schedulerName(n bpf.EkScheduler) string {
	if name, ok := schedulers()[n]; ok {
		return name
	}
	return fmt.Sprintf("scheduler %d", uint8(n))
}

func wireKey(k model.ServiceKey) bpf.EkServiceKey {
	return bpf.EkServiceKey{Addr: wireAddr(k.Addr.Addr()), Port: wirePort(k.Addr.Port()), Proto: uint8(k.Protocol)}
}

func hostKey(k bpf.EkServiceKey) model.ServiceKey {
	return model.ServiceKey{
		Protocol: model.Protocol(k.Proto),
		Addr:     netip.AddrPortFrom(hostAddr(k.Addr), hostPort(k.Port)),
	}
}

// Services returns all services, in no order.
func (m *Maps) Services() ([]Service, error) {
	var list []Service
	err := walk(m.services, func(k bpf.EkServiceKey, v bpf.EkService) bool {
		list = append(list, hostService(k, v))
		return true
	})
	return list, err
}

// PutService adds or replaces a service. From then on packets find it. The
// error wraps ErrScheduler, or unix.E2BIG when the map is full.
func (m *Maps) PutService(s Service) error {
	number, err := schedulerNumber(s.Scheduler)
	if err != nil {
		return fmt.Errorf("write service %s: %w", s.Key, err)
	}
	if err := m.services.Put(wireKey(s.Key), wireService(s, number)); err != nil {
		return fmt.Errorf("write service %s: %w", s.Key, err)
	}
	return nil
}

// DeleteService removes a service; one that is not there is no error.
func (m *Maps) DeleteService(k model.ServiceKey) error {
	if err := m.services.Delete(wireKey(k)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete service %s: %w", k, err)
	}
	return nil
}
