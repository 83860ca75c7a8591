package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pins are the paths below the pin directory.
type pins string

func (p pins) maps() string  { return filepath.Join(string(p), "maps") }
func (p pins) progs() string { return filepath.Join(string(p), "progs") }
func (p pins) links() string { return filepath.Join(string(p), "links") }

// newMaps is where maps are pinned before they are renamed into place.
func (p pins) newMaps() string { return filepath.Join(string(p), "maps_new") }

func (p pins) prog(name string) string { return filepath.Join(p.progs(), name) }

// newProg is where a program is pinned before it is renamed over the old one.
func (p pins) newProg(name string) string { return filepath.Join(p.progs(), name+"_new") }

func (p pins) link(ifname string) string { return filepath.Join(p.links(), pinName(ifname)) }

// pinName turns an interface's name into that of its pin: a bpf file system
// refuses names with a dot, such as eth0.100.
func pinName(ifname string) string {
	return strings.NewReplacer("%", "%25", ".", "%2e").Replace(ifname)
}

// ifName is the other way.
func ifName(pin string) string {
	return strings.NewReplacer("%2e", ".", "%25", "%").Replace(pin)
}

// exist reports whether a whole set of maps is pinned.
func (p pins) exist() (bool, error) {
	_, err := os.Stat(p.maps())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for pinned maps: %w", err)
	}
	return true, nil
}

// The directory may be read by its group, and so the maps; bpftool and the
// command line then need no root.
const (
	dirMode = 0o750
	pinMode = 0o640
)

// makeDirs makes the directories for programs and links.
func (p pins) makeDirs() error {
	for _, dir := range []string{p.progs(), p.links()} {
		if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make pin directory: %w", err)
		}
	}
	return nil
}

// linkNames lists the interfaces that have a pinned link.
func (p pins) linkNames() ([]string, error) {
	entries, err := os.ReadDir(p.links())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list pinned links: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, ifName(e.Name()))
	}
	return names, nil
}

// remove unpins everything. The links go first: without them no packet meets
// the program any more.
func (p pins) remove() error {
	for _, dir := range []string{p.links(), p.progs(), p.newMaps()} {
		if err := removePins(dir); err != nil {
			return err
		}
	}
	// Away as a whole: a start after a death in between must not find a part.
	if err := os.Rename(p.maps(), p.newMaps()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pins: %w", err)
	}
	if err := removePins(p.newMaps()); err != nil {
		return err
	}
	if err := os.Remove(string(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pin directory: %w", err)
	}
	return nil
}

// removePins removes a directory of pins; one that is not there is no error.
// Unlike os.RemoveAll it descends nowhere and leaves what it does not know.
func removePins(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove pins: %w", err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove pin: %w", err)
		}
	}
	if err := os.Remove(dir); err != nil {
		return fmt.Errorf("remove pin directory: %w", err)
	}
	return nil
}

// pinner is what can be pinned: maps, programs and links.
type pinner interface{ Pin(path string) error }

// pinAs pins an object with the mode that lets the group read it.
func pinAs(object pinner, path string) error {
	if err := object.Pin(path); err != nil {
		return fmt.Errorf("pin %s: %w", path, err)
	}
	if err := os.Chmod(path, pinMode); err != nil {
		return fmt.Errorf("pin %s: %w", path, err)
	}
	return nil
}

// errNotBPFFS is wrapped by checkBPFFS.
var errNotBPFFS = errors.New("no bpf file system")

// checkBPFFS asks whether a directory is in a bpf file system.
func checkBPFFS(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	if int64(st.Type) != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s: %w", dir, errNotBPFFS)
	}
	return nil
}
