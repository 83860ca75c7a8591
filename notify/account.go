package notify

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// DefaultScriptUser is the account that runs scripts for which the
// configuration names none, if it exists.
const DefaultScriptUser = "keepalived_script"

// Account is who runs a script.
type Account struct {
	UID, GID uint32
	// Groups are the supplementary groups; none are kept from the daemon.
	Groups []uint32
	// Name, Home and Shell are told to the script by its environment.
	Name, Home, Shell string
}

// String prints user and group as numbers after the name: nobody (65534:65534).
func (a Account) String() string { return fmt.Sprintf("%s (%d:%d)", a.Name, a.UID, a.GID) }

// Accounts finds users and groups. The real one is SystemAccounts.
type Accounts interface {
	User(nameOrNumber string) (*user.User, error)
	Group(nameOrNumber string) (*user.Group, error)
	// GroupIDs returns the numbers of all groups that u is in.
	GroupIDs(u *user.User) ([]string, error)
}

// SystemAccounts reads /etc/passwd and /etc/group.
type SystemAccounts struct{}

// User looks for the name and then, if it is a number, for the number.
func (SystemAccounts) User(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if err != nil && number(name) {
		return user.LookupId(name)
	}
	return u, err
}

// Group looks for the name and then, if it is a number, for the number.
func (SystemAccounts) Group(name string) (*user.Group, error) {
	g, err := user.LookupGroup(name)
	if err != nil && number(name) {
		return user.LookupGroupId(name)
	}
	return g, err
}

// GroupIDs returns the groups that list u, and its own.
func (SystemAccounts) GroupIDs(u *user.User) ([]string, error) { return u.GroupIds() }

func number(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// LookupAccount returns the account of a configuration's user and group. An
// empty group is the user's own. With supplementary it is in all groups of the
// user (set_supplementary_groups), else in the one.
func LookupAccount(db Accounts, userName, group string, supplementary bool) (Account, error) {
	u, err := db.User(userName)
	if err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", userName, err)
	}
	gid := u.Gid
	if group != "" {
		g, err := db.Group(group)
		if err != nil {
			return Account{}, fmt.Errorf("look up group %s: %w", group, err)
		}
		gid = g.Gid
	}
	a := Account{Name: u.Username, Home: u.HomeDir, Shell: shell}
	if a.UID, err = id(u.Uid); err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", userName, err)
	}
	if a.GID, err = id(gid); err != nil {
		return Account{}, fmt.Errorf("look up group of user %s: %w", userName, err)
	}
	if supplementary {
		if a.Groups, err = groups(db, u); err != nil {
			return Account{}, fmt.Errorf("look up groups of user %s: %w", userName, err)
		}
	}
	return a, nil
}

func groups(db Accounts, u *user.User) ([]uint32, error) {
	list, err := db.GroupIDs(u)
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, 0, len(list))
	for _, s := range list {
		gid, err := id(s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, gid)
	}
	return ids, nil
}

func id(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err
}

// DefaultAccount returns the account for scripts without one, where the
// configuration has no script_user: DefaultScriptUser, or as keepalived root if
// that does not exist. A caller should warn about root.
func DefaultAccount(db Accounts) (Account, error) {
	a, err := LookupAccount(db, DefaultScriptUser, "", false)
	if _, missing := errors.AsType[user.UnknownUserError](err); missing {
		return LookupAccount(db, "0", "", false)
	}
	return a, err
}
