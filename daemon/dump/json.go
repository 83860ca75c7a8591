package dump

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

// jsonInstance is one element of keepalived's array.
type jsonInstance struct {
	Data  jsonData `json:"data"`
	Stats Counters `json:"stats"`
}

// jsonData is in keepalived's order. Lengths of time are seconds; those of
// announcements are whole ones, which some readers decode as integers.
type jsonData struct {
	Name             string      `json:"iname"`
	DontTrackPrimary int         `json:"dont_track_primary"`
	SkipCheck        int         `json:"skip_check_adv_addr"`
	Strict           int         `json:"strict_mode"`
	VMACInterface    string      `json:"vmac_ifname"`
	Interface        string      `json:"ifp_ifname"`
	MasterPriority   uint8       `json:"master_priority"`
	LastTransition   json.Number `json:"last_transition"`
	GARPDelay        int         `json:"garp_delay"`
	GARPRefresh      int         `json:"garp_refresh"`
	GARPRepeat       int         `json:"garp_rep"`
	GARPRefreshRep   int         `json:"garp_refresh_rep"`
	GARPLowerDelay   int         `json:"garp_lower_prio_delay"`
	GARPLowerRepeat  int         `json:"garp_lower_prio_rep"`
	LowerNoAdvert    int         `json:"lower_prio_no_advert"`
	HigherSendAdvert int         `json:"higher_prio_send_advert"`
	VRID             uint8       `json:"vrid"`
	BasePriority     uint8       `json:"base_priority"`
	Priority         uint8       `json:"effective_priority"`
	Set              bool        `json:"vipset"`
	Promote          bool        `json:"promote_secondaries"`
	Interval         float64     `json:"adver_int"`
	MasterInterval   float64     `json:"master_adver_int"`
	Accept           int         `json:"accept"`
	NoPreempt        bool        `json:"nopreempt"`
	PreemptDelay     float64     `json:"preempt_delay"`
	State            vrrp.State  `json:"state"`
	WantState        vrrp.State  `json:"wantstate"`
	Version          uint8       `json:"version"`
	Mail             bool        `json:"smtp_alert"`
	NotifyDeleted    bool        `json:"notify_deleted"`
	ScriptBackup     string      `json:"script_backup,omitempty"`
	ScriptMaster     string      `json:"script_master,omitempty"`
	ScriptFault      string      `json:"script_fault,omitempty"`
	ScriptStop       string      `json:"script_stop,omitempty"`
	Script           string      `json:"script,omitempty"`
	VIPs             []string    `json:"vips,omitempty"`
	Excluded         []string    `json:"evips,omitempty"`
	Routes           []string    `json:"vroutes,omitempty"`
	Rules            []string    `json:"vrules,omitempty"`
	TrackInterfaces  []string    `json:"track_ifp,omitempty"`
	TrackScripts     []string    `json:"track_script,omitempty"`
	AuthType         uint8       `json:"auth_type"`
	AuthData         string      `json:"auth_data,omitempty"`
}

// jsonAll is version 2: the array of version 1, and the processes if there are
// some.
type jsonAll struct {
	VRRP      []jsonInstance `json:"vrrp"`
	Processes []jsonProcess  `json:"track_process,omitempty"`
}

// jsonProcess is a vrrp_track_process. Whether one of its delays runs is not
// known here, so that keepalived's two fields about it are not there.
type jsonProcess struct {
	Process        string  `json:"process"`
	Parameters     string  `json:"parameters,omitempty"`
	ParamMatch     string  `json:"param_match"`
	Min            int     `json:"min_processes"`
	Max            *int    `json:"max_processes,omitempty"`
	Current        int     `json:"current_processes"`
	Quorum         bool    `json:"have_quorum"`
	Weight         int     `json:"weight"`
	TerminateDelay float64 `json:"terminate_delay"`
	ForkDelay      float64 `json:"fork_delay"`
	FullCommand    bool    `json:"full_command"`
}

// JSON returns the state as SIGRTMIN+2 makes keepalived write it, in the version
// that json_version asks for.
func (s State) JSON(cleared Cleared) ([]byte, error) {
	list := make([]jsonInstance, 0, len(s.Instances))
	for _, i := range s.Instances {
		list = append(list, jsonInstance{s.json(i), cleared.since(i.Instance)})
	}
	var all any = list
	if s.Global.Dumps.JSONVersion == 2 {
		all = jsonAll{list, s.jsonProcesses()}
	}
	out, err := json.Marshal(all)
	return append(out, '\n'), err
}

// matchWord is keepalived's word for how parameters are compared.
func matchWord(d model.TrackProcess) string {
	switch {
	case len(d.Params) == 0:
		return "none"
	case d.Match == model.MatchExact:
		return "exact"
	}
	return string(d.Match)
}

func (s State) jsonProcesses() (list []jsonProcess) {
	for _, d := range s.VRRP.Processes {
		st := s.tracked(track.Process, d.Name)
		p := jsonProcess{
			Process: d.Process, Parameters: strings.Join(d.Params, " "), ParamMatch: matchWord(d),
			Min: d.Quorum, Current: st.Value, Quorum: st.State == track.Up, Weight: d.Weight,
			TerminateDelay: d.TerminateDelay.Seconds(), ForkDelay: d.ForkDelay.Seconds(), FullCommand: d.FullCommand,
		}
		if d.QuorumMax >= 0 {
			p.Max = &d.QuorumMax
		}
		if d.Reverse {
			p.Weight = -p.Weight
		}
		list = append(list, p)
	}
	return list
}

func (s State) json(st failover.Status) jsonData {
	i, cfg := st.Instance, st.Config
	state, since := i.State()
	d := jsonData{
		Name:             i.Name(),
		DontTrackPrimary: number(cfg.DontTrackPrimary),
		SkipCheck:        number(cfg.SkipCheckAddresses),
		Strict:           number(cfg.Strict),
		Interface:        st.Interface,
		LastTransition:   json.Number(fmt.Sprintf("%d.%06d", since.Unix(), since.Nanosecond()/int(time.Microsecond))),
		GARPDelay:        int(cfg.Announce.Delay / time.Second),
		GARPRefresh:      int(cfg.Announce.Refresh / time.Second),
		GARPRepeat:       cfg.Announce.Repeat,
		GARPRefreshRep:   cfg.Announce.RefreshRepeat,
		GARPLowerDelay:   int(cfg.Announce.LowerPrioDelay / time.Second),
		GARPLowerRepeat:  cfg.Announce.LowerPrioRepeat,
		LowerNoAdvert:    number(cfg.LowerPrioNoAdvert),
		HigherSendAdvert: number(!cfg.HigherPrioNoAdvert),
		VRID:             cfg.VRID,
		BasePriority:     i.BasePriority(),
		Priority:         i.Priority(),
		Set:              st.Addresses.Placed > 0,
		Promote:          cfg.PromoteSecondaries,
		Interval:         cfg.Interval.Seconds(),
		MasterInterval:   i.MasterInterval().Seconds(),
		Accept:           number(!cfg.NoAccept),
		NoPreempt:        cfg.NoPreempt,
		PreemptDelay:     cfg.PreemptDelay.Seconds(),
		State:            state,
		WantState:        i.Wants(),
		Version:          cfg.Version,
		Mail:             cfg.Mail,
		NotifyDeleted:    cfg.Scripts.Deleted != nil || cfg.Scripts.DeletedEvent,
		ScriptBackup:     command(cfg.Scripts.Backup),
		ScriptMaster:     command(cfg.Scripts.Master),
		ScriptFault:      command(cfg.Scripts.Fault),
		ScriptStop:       command(cfg.Scripts.Stop),
		Script:           command(cfg.Scripts.Generic),
		VIPs:             addresses(st, cfg.Addresses),
		Excluded:         addresses(st, cfg.Excluded),
		AuthType:         uint8(cfg.Auth.Type),
		AuthData:         secret(cfg.Auth.Secret),
	}
	if cfg.VMAC != nil {
		d.VMACInterface = st.Interface
	}
	if state != vrrp.Master {
		_, d.MasterPriority = i.Master()
	}
	for _, r := range cfg.Routes {
		d.Routes = append(d.Routes, r.Line)
	}
	for _, r := range cfg.Rules {
		d.Rules = append(d.Rules, r.Line)
	}
	for _, t := range cfg.Tracks {
		switch {
		case t.Kind == model.TrackingInterface && !t.Implied:
			d.TrackInterfaces = append(d.TrackInterfaces, t.Name)
		case t.Kind == model.TrackingScript:
			d.TrackScripts = append(d.TrackScripts, s.commandOf(t.Name))
		}
	}
	return d
}

// commandOf returns the command of a vrrp_script.
func (s State) commandOf(name string) string {
	for _, d := range s.VRRP.Scripts {
		if d.Name == name {
			return command(&d.Script)
		}
	}
	return name
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
