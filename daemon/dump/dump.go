package dump

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/notify"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

// State is VRRP at one moment.
type State struct {
	Global    model.Global
	VRRP      model.VRRP
	Instances []failover.Status
	Tracked   []track.Status
}

// The names of the files in the directory.
const (
	DataFile  = "keepalived.data"
	StatsFile = "keepalived.stats"
	JSONFile  = "keepalived.json"
)

// fileMode lets only the daemon's user read, as keepalived does.
const fileMode = 0o600

// Place returns the directory and the name of a file. asked is a path, a
// directory that ends in a slash, or empty for name in dir; dir is also where a
// relative path begins.
func Place(dir, name, asked string) (inDir, asName string) {
	if asked == "" {
		return dir, name
	}
	if !filepath.IsAbs(asked) {
		// Not Join, which takes the last slash away.
		asked = dir + "/" + asked
	}
	inDir, asName = filepath.Split(asked)
	if asName == "" {
		asName = name
	}
	return inDir, asName
}

// Write puts a file into a directory that others may write to, such as /tmp.
// A file of this name is replaced as a whole; a link of this name is not
// followed.
func Write(dir, name string, content []byte) error {
	f, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(dir, name), err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(fileMode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", filepath.Join(dir, name), err), os.Remove(f.Name()))
	}
	return nil
}

// addresses returns addresses as keepalived prints them: those in place end in
// set.
func addresses(s failover.Status, list []model.Address) (lines []string) {
	for _, a := range list {
		if s.Config.VMAC != nil && a.Interface == s.Config.Interface && s.Interface != s.Config.Interface {
			a.Interface = s.Interface + "@" + a.Interface
		}
		line := a.String()
		if a.Prefix.Addr().Is6() {
			line += lifetime(a)
		}
		if isSet(s, a.Prefix.String()) {
			line += " set"
		}
		lines = append(lines, line)
	}
	return lines
}

func lifetime(a model.Address) string {
	switch {
	case a.Deprecated:
		return " deprecated"
	case a.PreferredLifetime > 0:
		return fmt.Sprintf(" preferred_lft %d", int(a.PreferredLifetime.Seconds()))
	}
	return " preferred_lft forever"
}

// isSet says whether an address is in place.
func isSet(s failover.Status, prefix string) bool {
	return s.Addresses.Placed > 0 && !slices.ContainsFunc(s.Addresses.Missing, func(m keep.Missing) bool {
		return slices.Contains(strings.Fields(m.Item), prefix)
	})
}

// command returns the words of a script, each in quotes, or nothing for none.
func command(s *model.Script) string {
	if s == nil {
		return ""
	}
	words := s.Argv
	if len(words) == 0 {
		var err error
		if words, err = notify.ParseCommand(s.Command); err != nil {
			words = []string{s.Command} // it does not run either
		}
	}
	quoted := make([]string, len(words))
	for n, w := range words {
		quoted[n] = "'" + w + "'"
	}
	return strings.Join(quoted, " ")
}

// secret stands for a password, which keepalived prints up to its version 2.3.
func secret(s string) string {
	if s == "" {
		return ""
	}
	return "********"
}

// stateOf returns the state of an instance.
func stateOf(s failover.Status) vrrp.State {
	state, _ := s.Instance.State()
	return state
}

// member finds an instance by name.
func (s State) member(name string) (failover.Status, bool) {
	at := slices.IndexFunc(s.Instances, func(i failover.Status) bool { return i.Instance.Name() == name })
	if at < 0 {
		return failover.Status{}, false
	}
	return s.Instances[at], true
}

// groupState returns the state of a sync group: that of its members, and FAULT
// or BACKUP if one of them is.
func (s State) groupState(g model.SyncGroup) vrrp.State {
	count := make(map[vrrp.State]int)
	for _, name := range g.Members {
		if m, ok := s.member(name); ok {
			count[stateOf(m)]++
		}
	}
	for _, state := range []vrrp.State{vrrp.Fault, vrrp.Init, vrrp.Backup, vrrp.Master} {
		if count[state] > 0 {
			return state
		}
	}
	return vrrp.Init
}
