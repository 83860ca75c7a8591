package config

import (
	"fmt"
	"math"
	"path"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// tracker is what track blocks need of a tracked thing.
type tracker struct {
	at      place
	weight  int
	reverse bool
}

// tracker reads a vrrp_script, track_file or vrrp_track_process block.
func (v *vrrpBuilder) tracker(st *statement) {
	switch st.keyword() {
	case "vrrp_script":
		v.trackScript(st)
	case "track_file", "vrrp_track_file":
		v.trackFile(st)
	case "vrrp_track_process":
		v.trackProcess(st)
	}
}

// keep adds a tracked thing under its name, unless there is one already.
func (v *vrrpBuilder) keep(list map[string]tracker, st *statement, weight trackWeight) bool {
	name := st.arg(0)
	if st.block.damaged {
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("a line in %s %s was dropped, and what it said is not known; %s", st.keyword(), name, trackerLeftOut), "correct the line that is complained about")
		return false
	}
	if old, dup := list[name]; dup {
		v.add(silent(Warning), st.at(), st.keyword(), fmt.Sprintf("%s %s is there already, at %s; the first one counts, as in keepalived", st.keyword(), name, v.position(old.at)), "give it another name")
		return false
	}
	list[name] = tracker{at: st.at(), weight: weight.weight, reverse: weight.reverse}
	return true
}

// trackWeight is WEIGHT [reverse].
type trackWeight struct {
	weight  int
	reverse bool
}

// weight reads the weight of a tracked thing. Without the one that was meant,
// a failure could be a fault and not a change of priority, so the thing is left
// out then.
func (v *vrrpBuilder) weight(s *statement, most int64, field *trackWeight) bool {
	n, err := parseInt(s.arg(0), -most, most)
	if err != nil {
		v.bad(s, 0, err, trackerLeftOut, "write weight -20, or leave the line out to make a failure a fault")
		return false
	}
	w := trackWeight{weight: int(n)}
	switch option := s.arg(1); option {
	case "":
	case "reverse":
		w.reverse = true
	default:
		v.add(Warning, s.args()[1].at, s.keyword(), fmt.Sprintf("%q after weight is not reverse and is ignored", option), "")
	}
	*field = w
	return true
}

// trackScript reads a vrrp_script block.
func (v *vrrpBuilder) trackScript(st *statement) {
	out := model.TrackScript{Name: st.arg(0), Pos: v.position(st.at()), Interval: time.Second, Rise: 1, Fall: 1}
	var weight trackWeight
	var command *statement
	ok := true
	rise, fall := &out.Rise, &out.Fall
	interval, timeout := &out.Interval, &out.Script.Timeout
	v.each(st.block, func(s *statement) {
		switch s.keyword() {
		case "script":
			command = s
		case "interval":
			v.seconds(s, &interval, time.Millisecond, mostAnnounce)
		case "timeout":
			v.seconds(s, &timeout, time.Millisecond, mostAnnounce)
		case "weight":
			ok = v.weight(s, 253, &weight) && ok
		case "rise":
			v.number(s, &rise, 1, math.MaxInt32)
		case "fall":
			v.number(s, &fall, 1, math.MaxInt32)
		case "user":
			out.Script.User, out.Script.Group, ok = v.accountOr(s, ok)
		case "init_fail":
			v.turnOn(s, &out.InitFail)
		}
	})
	out.Interval, out.Script.Timeout, out.Rise, out.Fall = *interval, *timeout, *rise, *fall
	if !v.command(st, command, &out.Script) || !ok || !v.keep(v.scripts, st, weight) {
		return
	}
	out.Weight, out.Reverse = weight.weight, weight.reverse
	v.out.Scripts = append(v.out.Scripts, out)
}

// accountOr reads a user line of a script that must not run as another one.
func (v *vrrpBuilder) accountOr(s *statement, before bool) (user, group string, ok bool) {
	user, group, ok = v.account(s, s.args()[:min(2, len(s.args()))], trackerLeftOut)
	return user, group, ok && before
}

// command sets the command of a script. As in keepalived it is one word, in
// quotes if it has arguments.
func (v *vrrpBuilder) command(st, s *statement, script *model.Script) bool {
	var list []word
	if s != nil {
		list, _ = s.raw() // the linter complained
	}
	if len(list) == 0 || list[0].s == "" {
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("%s %s has no script; %s", st.keyword(), st.arg(0), trackerLeftOut), `write script "/path/of/script" in it`)
		return false
	}
	if len(list) > 1 {
		v.add(Warning, list[1].at, s.keyword(), fmt.Sprintf("%q after script is ignored, as in keepalived", joined(list[1:])), "put the command and its arguments into one pair of quotes")
	}
	script.Pos = v.position(s.at())
	script.Command = list[0].s
	return true
}

// trackFile reads a track_file block.
func (v *vrrpBuilder) trackFile(st *statement) {
	out := model.TrackFile{Name: st.arg(0), Pos: v.position(st.at())}
	weight := trackWeight{weight: 1}
	ok := true
	var file *statement
	v.each(st.block, func(s *statement) {
		switch s.keyword() {
		case "file":
			file = s
			out.Path = s.arg(0)
		case "weight":
			ok = v.weight(s, 254, &weight) && ok
		case "init_file":
			v.initFile(s, &out)
		}
	})
	switch {
	case file == nil:
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("%s %s has no file; %s", st.keyword(), st.arg(0), trackerLeftOut), "write file and its path in it")
		return
	case !path.IsAbs(out.Path):
		v.bad(file, 0, fmt.Errorf("not an absolute path"), trackerLeftOut, "write the path from / on")
		return
	}
	if ok && v.keep(v.files, st, weight) {
		out.Weight, out.Reverse = weight.weight, weight.reverse
		v.out.Files = append(v.out.Files, out)
	}
}

// initFile reads [VALUE] [overwrite], in any order.
func (v *vrrpBuilder) initFile(s *statement, out *model.TrackFile) {
	mode, value := model.InitFileCreate, int64(0)
	for i, w := range s.args() {
		if w.s == "overwrite" {
			mode = model.InitFileOverwrite
			continue
		}
		var err error
		if value, err = parseInt(w.s, math.MinInt32, math.MaxInt32); err != nil {
			v.bad(s, i, fmt.Errorf("neither a whole number nor overwrite"), lineIgnored, "write init_file 0")
			return
		}
	}
	out.Init, out.InitValue = mode, int(value)
}

// trackProcess reads a vrrp_track_process block.
func (v *vrrpBuilder) trackProcess(st *statement) {
	out := model.TrackProcess{Name: st.arg(0), Pos: v.position(st.at()), QuorumMax: -1}
	var weight trackWeight
	var quorum, quorumMax *uint32
	var quorumMaxAt *statement
	ok := true
	v.each(st.block, func(s *statement) {
		switch s.keyword() {
		case "process":
			ok = v.process(s, &out) && ok
		case "param_match":
			ok = v.paramMatch(s, &out) && ok
		case "weight":
			ok = v.weight(s, 254, &weight) && ok
		case "quorum":
			v.number(s, &quorum, 1, 65535)
		case "quorum_max":
			v.number(s, &quorumMax, 0, 65535)
			quorumMaxAt = s
		case "full_command":
			v.turnOn(s, &out.FullCommand)
		case "delay", "fork_delay", "terminate_delay":
			v.processDelay(s, &out)
		}
	})
	if out.Process == "" && ok {
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("%s %s names no process; %s", st.keyword(), st.arg(0), trackerLeftOut), "write process and the program's name in it")
		return
	}
	v.quorums(&out, quorum, quorumMax, quorumMaxAt)
	if ok && v.keep(v.processes, st, weight) {
		out.Weight, out.Reverse = weight.weight, weight.reverse
		v.out.Processes = append(v.out.Processes, out)
	}
}

// quorums applies the defaults of quorum and quorum_max.
func (v *vrrpBuilder) quorums(out *model.TrackProcess, quorum, quorumMax *uint32, at *statement) {
	out.Quorum = int(or(1, quorum))
	if quorumMax == nil {
		return
	}
	if quorum == nil && *quorumMax == 0 {
		out.Quorum = 0
	}
	if int(*quorumMax) < out.Quorum {
		v.add(Error, at.at(), at.keyword(), fmt.Sprintf("quorum_max %d is below quorum %d; %s", *quorumMax, out.Quorum, lineIgnored), "write a greater quorum_max")
		return
	}
	out.QuorumMax = int(*quorumMax)
}

func (v *vrrpBuilder) process(s *statement, out *model.TrackProcess) bool {
	list, err := s.raw()
	if err != nil || len(list) == 0 || list[0].s == "" {
		v.add(Error, s.at(), s.keyword(), "process names no program; "+trackerLeftOut, "write process and the program's name")
		return false
	}
	out.Process, out.Params = list[0].s, nil
	for _, w := range list[1:] {
		out.Params = append(out.Params, w.s)
	}
	return true
}

func (v *vrrpBuilder) paramMatch(s *statement, out *model.TrackProcess) bool {
	switch m := model.ParamMatch(s.arg(0)); m {
	case model.MatchPartial, model.MatchInitial:
		out.Match = m
		return true
	case model.MatchExact: // No word stands for it.
	}
	v.bad(s, 0, fmt.Errorf("neither initial nor partial"), trackerLeftOut, "leave the line out to compare all parameters")
	return false
}

// mostDelay is keepalived's limit for the delays of processes.
const mostDelay = time.Hour

func (v *vrrpBuilder) processDelay(s *statement, out *model.TrackProcess) {
	var d *time.Duration
	if v.seconds(s, &d, tick, mostDelay); d == nil {
		return
	}
	switch s.keyword() {
	case "delay":
		out.ForkDelay, out.TerminateDelay = *d, *d
	case "fork_delay":
		out.ForkDelay = *d
	case "terminate_delay":
		out.TerminateDelay = *d
	}
}
