package ipvs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mdlayher/genetlink"
	"golang.org/x/sys/unix"
)

// Probe says in one line how this machine's kernel stands to IPVS, and loads
// nothing. The error wraps ErrNoIPVS when Start would find none.
func Probe() (string, error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return "", fmt.Errorf("open generic netlink: %w", err)
	}
	defer c.Close()
	_, err = c.GetFamily(familyName)
	if err == nil {
		return "the kernel's IPVS is there", nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("ask for IPVS: %w", err)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return probeModule(filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:])))
}

// probeModule looks for the module in the lists of a kernel's modules.
func probeModule(folder string) (string, error) {
	for _, list := range []string{"modules.dep", "modules.builtin"} {
		text, err := os.ReadFile(filepath.Join(folder, list))
		if err == nil && strings.Contains(string(text), "/ip_vs.ko") {
			return "module ip_vs is in " + folder + "; a start loads it", nil
		}
	}
	return "", fmt.Errorf("%w: no module ip_vs in %s", ErrNoIPVS, folder)
}
