package notify

import (
	"errors"
	"os/user"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeAccounts knows some users by name.
type fakeAccounts map[string]*user.User

func (f fakeAccounts) User(name string) (*user.User, error) {
	if u, ok := f[name]; ok {
		return u, nil
	}
	return nil, user.UnknownUserError(name)
}

func (f fakeAccounts) Group(name string) (*user.Group, error) {
	if name == "adm" {
		return &user.Group{Name: name, Gid: "4"}, nil
	}
	return nil, user.UnknownGroupError(name)
}

func (f fakeAccounts) GroupIDs(u *user.User) ([]string, error) {
	return []string{u.Gid, "4", "20"}, nil
}

func someAccounts() fakeAccounts {
	return fakeAccounts{
		"0":     {Uid: "0", Gid: "0", Username: "root", HomeDir: "/root"},
		"alice": {Uid: "1000", Gid: "1001", Username: "alice", HomeDir: "/home/alice"},
		"odd":   {Uid: "S-1-5", Gid: "0", Username: "odd"},
	}
}

func TestLookupAccount(t *testing.T) {
	tests := []struct {
		user, group   string
		supplementary bool
		want          Account
		err           string
	}{
		{"alice", "", false, Account{UID: 1000, GID: 1001, Name: "alice", Home: "/home/alice", Shell: shell}, ""},
		{"alice", "adm", false, Account{UID: 1000, GID: 4, Name: "alice", Home: "/home/alice", Shell: shell}, ""},
		{"alice", "", true, Account{UID: 1000, GID: 1001, Groups: []uint32{1001, 4, 20}, Name: "alice",
			Home: "/home/alice", Shell: shell}, ""},
		{"bob", "", false, Account{}, "look up user bob: user: unknown user bob"},
		{"alice", "wheel", false, Account{}, "look up group wheel: group: unknown group wheel"},
		{"odd", "", false, Account{}, `look up user odd: strconv.ParseUint: parsing "S-1-5": invalid syntax`},
	}
	for _, tt := range tests {
		got, err := LookupAccount(someAccounts(), tt.user, tt.group, tt.supplementary)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:%s (-want +got):\n%s", tt.user, tt.group, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s:%s: error %v, want %q", tt.user, tt.group, err, tt.err)
		}
	}
}

func TestDefaultAccount(t *testing.T) {
	db := someAccounts()
	if got, err := DefaultAccount(db); err != nil || got.Name != "root" || got.UID != 0 {
		t.Errorf("DefaultAccount = %v, %v, want root", got, err)
	}
	db[DefaultScriptUser] = &user.User{Uid: "99", Gid: "98", Username: DefaultScriptUser}
	if got, err := DefaultAccount(db); err != nil || got.String() != "keepalived_script (99:98)" {
		t.Errorf("DefaultAccount = %v, %v, want keepalived_script", got, err)
	}
	db[DefaultScriptUser].Gid = "x"
	if got, err := DefaultAccount(db); err == nil {
		t.Errorf("DefaultAccount = %v, want an error and not root", got)
	}
}

// TestSystemAccounts looks up the one account that every machine has.
func TestSystemAccounts(t *testing.T) {
	for _, name := range []string{"root", "0"} {
		u, err := SystemAccounts{}.User(name)
		if err != nil || u.Uid != "0" || u.Username != "root" {
			t.Errorf("User(%s) = %+v, %v", name, u, err)
		}
		g, err := SystemAccounts{}.Group(name)
		if err != nil || g.Gid != "0" {
			t.Errorf("Group(%s) = %+v, %v", name, g, err)
		}
	}
	_, err := SystemAccounts{}.User("no such user")
	if _, unknown := errors.AsType[user.UnknownUserError](err); !unknown {
		t.Errorf("User of a stranger = %v, want unknown", err)
	}
	if _, err := (SystemAccounts{}).User("4294967294"); err == nil {
		t.Error("a number without a user was found")
	}
}
