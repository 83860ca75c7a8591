package lbmaps

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
)

// State is a state of a flow. The values are IPVS's for TCP; UDP has one; those of
// SCTP are IPVS's from 16 on.
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
)

// The states of SCTP.
const (
	SCTPNone State = iota + 16
	SCTPInit1
	SCTPInit
	SCTPCookieSent
	SCTPCookieReplied
	SCTPCookieWait
	SCTPCookie
	SCTPCookieEchoed
	SCTPEstablished
	SCTPShutdownSent
	SCTPShutdownReceived
	SCTPShutdownAckSent
	SCTPRejected
	SCTPClosed
	// States is above all states; some numbers below it stand for none.
	States
)

// String returns the state's name as IPVS prints it.
func (s State) String() string {
	if !s.known() {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return [States]string{
		"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
		"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK", "UDP",
		SCTPNone: "NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED",
		"ESTABLISHED", "S-SENT", "S-RECEIVED", "S-ACK-SENT", "REJECTED", "CLOSED",
	}[s]
}

// known says whether a live flow can have the state.
func (s State) known() bool { return s <= UDP || s >= SCTPNone && s < States }

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

		SCTPNone:             2 * time.Second,
		SCTPInit1:            4 * time.Second,
		SCTPInit:             61 * time.Second,
		SCTPCookieSent:       61 * time.Second,
		SCTPCookieReplied:    61 * time.Second,
		SCTPCookieWait:       61 * time.Second,
		SCTPCookie:           61 * time.Second,
		SCTPCookieEchoed:     61 * time.Second,
		SCTPEstablished:      900 * time.Second,
		SCTPShutdownSent:     61 * time.Second,
		SCTPShutdownReceived: 61 * time.Second,
		SCTPShutdownAckSent:  61 * time.Second,
		SCTPRejected:         4 * time.Second,
		SCTPClosed:           61 * time.Second,
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
