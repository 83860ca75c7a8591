package lbmaps

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
)

// State is a state of a flow. The values are IPVS's for TCP; UDP has one.
type State uint8

// The states that a live flow can have.
const (
	None State = iota
	Established
	SynSent
	SynRecv
	FinWait
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	SynAck
	UDP
	// States is the number of states.
	States
)

// String returns the state's name as IPVS prints it.
func (s State) String() string {
	if s >= States {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return [States]string{
		"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
		"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK", "UDP",
	}[s]
}

// Timeouts say how long a flow lives without a packet, by its state, in whole
// seconds; a fraction is rounded up.
type Timeouts [States]time.Duration

// DefaultTimeouts returns those of IPVS.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		None:        2 * time.Second,
		Established: 900 * time.Second,
		SynSent:     120 * time.Second,
		SynRecv:     60 * time.Second,
		FinWait:     120 * time.Second,
		TimeWait:    120 * time.Second,
		Close:       10 * time.Second,
		CloseWait:   60 * time.Second,
		LastAck:     30 * time.Second,
		Listen:      120 * time.Second,
		SynAck:      120 * time.Second,
		UDP:         300 * time.Second,
	}
}

// Settings hold for all services.
type Settings struct {
	LayoutVersion uint32
	// ICMPPerSecond is how many ICMP errors one CPU may send, 0 none.
	ICMPPerSecond uint32
	Timeouts      Timeouts
}

func wireSettings(s Settings) bpf.EkSettings {
	w := bpf.EkSettings{LayoutVersion: s.LayoutVersion, IcmpPerSecond: s.ICMPPerSecond}
	for i, d := range s.Timeouts {
		w.Timeout[i] = uint32((d + time.Second - 1) / time.Second)
	}
	return w
}

func hostSettings(w bpf.EkSettings) Settings {
	s := Settings{LayoutVersion: w.LayoutVersion, ICMPPerSecond: w.IcmpPerSecond}
	for i := range s.Timeouts {
		s.Timeouts[i] = time.Duration(w.Timeout[i]) * time.Second
	}
	return s
}

// Settings returns the settings in force.
func (m *Maps) Settings() (Settings, error) {
	var w bpf.EkSettings
	if err := m.settings.Lookup(uint32(0), &w); err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	return hostSettings(w), nil
}

// PutSettings replaces the settings. Flows take a new time-out with their next
// packet.
func (m *Maps) PutSettings(s Settings) error {
	if err := m.settings.Put(uint32(0), wireSettings(s)); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}
