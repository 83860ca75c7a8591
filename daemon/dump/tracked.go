package dump

import (
	"strings"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/track"
)

func (s State) scripts(w *writer) {
	if len(s.VRRP.Scripts) > 0 {
		w.section("VRRP Scripts")
	}
	for _, d := range s.VRRP.Scripts {
		st := s.tracked(track.Script, d.Name)
		timeout := d.Script.Timeout
		w.line(1, "VRRP Script = %s", d.Name)
		w.line(3, "Command = %s", command(&d.Script))
		w.line(3, "Interval = %g sec", d.Interval.Seconds())
		w.line(3, "Timeout = %g sec", timeout.Seconds())
		w.line(3, "Weight = %d%s", d.Weight, reversed(d.Reverse))
		w.line(3, "Rise = %d", d.Rise)
		w.line(3, "Fall = %d", d.Fall)
		w.line(3, "Status = %s", verdict(st.State))
		s.users(w, model.TrackingScript, d.Name, ",")
		w.line(3, "State = idle")
	}
}

// verdict is keepalived's word for the state of a script.
func verdict(s track.State) string {
	switch s {
	case track.Up:
		return "GOOD"
	case track.Down:
		return "BAD"
	case track.Disabled:
		return "DISABLED"
	case track.Unknown:
	}
	return "INIT"
}

func (s State) files(w *writer) {
	if len(s.VRRP.Files) > 0 {
		w.section("VRRP Track files")
	}
	for _, d := range s.VRRP.Files {
		w.line(1, "Track file = %s", d.Name)
		w.line(3, "File = %s", d.Path)
		w.line(3, "Status = %d", s.tracked(track.File, d.Name).Value)
		w.line(3, "Weight = %d%s", d.Weight, reversed(d.Reverse))
		s.users(w, model.TrackingFile, d.Name, ",")
	}
}

func (s State) processes(w *writer) {
	if len(s.VRRP.Processes) > 0 {
		w.section("VRRP Track processes")
	}
	for _, d := range s.VRRP.Processes {
		st := s.tracked(track.Process, d.Name)
		w.line(1, "VRRP Track process = %s", d.Name)
		w.line(3, "Process = %s", d.Process)
		if len(d.Params) > 0 {
			w.line(3, "Parameters = %s", strings.Join(d.Params, " "))
		}
		w.line(3, "Min processes = %d", d.Quorum)
		if d.QuorumMax >= 0 {
			w.line(3, "Max processes = %d", d.QuorumMax)
		}
		w.line(3, "Current processes = %d", st.Value)
		w.line(3, "Have quorum = %t", st.State == track.Up)
		w.line(3, "Weight = %d%s", d.Weight, reversed(d.Reverse))
		w.line(3, "Terminate delay = %.6fs", d.TerminateDelay.Seconds())
		w.line(3, "Fork delay = %.6fs", d.ForkDelay.Seconds())
		w.line(3, "Full command = %t", d.FullCommand)
		s.users(w, model.TrackingProcess, d.Name, ",")
	}
}
