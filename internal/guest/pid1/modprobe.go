package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// modprobe is called by the kernel as modprobe -q -- NAME, where NAME is a
// module or an alias of one. It returns the exit status.
func modprobe(args []string) int {
	if len(args) == 0 {
		return 1
	}
	if err := load(strings.ReplaceAll(args[len(args)-1], "-", "_")); err != nil {
		return 1
	}
	return 0
}

// load loads the module of a name, or the first one whose alias fits.
func load(name string) error {
	err := loadModule(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	aliases, err := lines(filepath.Join(Modules, "alias"))
	if err != nil {
		return err
	}
	for _, a := range aliases {
		fits, err := path.Match(a[0], name)
		if err == nil && fits {
			return loadModule(a[1])
		}
	}
	return fmt.Errorf("load module %s: %w", name, fs.ErrNotExist)
}

// loadModule loads a module after those that it needs. The list order holds a
// line for each packed module: its name, then the others in the order in
// which they are loaded.
func loadModule(name string) error {
	order, err := lines(filepath.Join(Modules, "order"))
	if err != nil {
		return err
	}
	for _, line := range order {
		if line[0] != name {
			continue
		}
		for _, m := range append(line[1:], name) {
			if err := insert(m); err != nil {
				return fmt.Errorf("load module %s: %w", m, err)
			}
		}
		return nil
	}
	return fs.ErrNotExist
}

// insert loads one module unless it is there.
func insert(name string) error {
	if _, err := os.Stat("/sys/module/" + name); err == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(Modules, name+".ko"))
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
