package daemon

import (
	"errors"
	"log/slog"
	"os/user"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// accounts has root and those that are named.
type accounts map[string]string

func (a accounts) User(name string) (*user.User, error) {
	id, ok := a[name]
	if !ok {
		return nil, errors.New("unknown user")
	}
	return &user.User{Username: name, Uid: id, Gid: id}, nil
}

func (a accounts) Group(name string) (*user.Group, error) {
	id, ok := a[name]
	if !ok {
		return nil, errors.New("unknown group")
	}
	return &user.Group{Name: name, Gid: id}, nil
}

func (accounts) GroupIDs(*user.User) ([]string, error) { return nil, nil }

func TestScriptAccount(t *testing.T) {
	for _, tt := range []struct {
		name     string
		db       accounts
		settings model.ScriptSettings
		want     string
	}{
		{"keepalived_script", accounts{"root": "0", "keepalived_script": "7"}, model.ScriptSettings{}, "keepalived_script (7:7)"},
		{"root without it", accounts{"root": "0"}, model.ScriptSettings{}, "root (0:0)"},
		{"script_user", accounts{"root": "0", "keepalived_script": "7", "web": "8", "www": "9"}, model.ScriptSettings{User: "web", Group: "www"}, "web (8:9)"},
		{"unknown script_user", accounts{"root": "0"}, model.ScriptSettings{User: "web"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := scriptAccount(tt.db, tt.settings)
			if (err != nil) != (tt.want == "") || err == nil && got.String() != tt.want {
				t.Errorf("account = %v, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestScriptsWithoutAccount: a script_user that does not exist makes no
// verdict, and the next configuration may bring one.
func TestScriptsWithoutAccount(t *testing.T) {
	s := newScripts(model.ScriptSettings{User: "no such user here"}, nil, slog.New(slog.DiscardHandler))
	run := func() (r model.ScriptResult) {
		s.Run(t.Context(), model.Script{Command: "/does/not/exist"}, func(got model.ScriptResult) { r = got })
		return r
	}
	first := run()
	s.configure(model.ScriptSettings{User: "root"})
	second := run()
	if first.Refused == "" || second.Refused == "" || first.Refused == second.Refused {
		t.Errorf("refused for %q and then for %q, want two reasons", first.Refused, second.Refused)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
