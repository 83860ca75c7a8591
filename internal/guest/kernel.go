package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kernel is an unpacked Debian package with a kernel and its modules.
type Kernel struct {
	// Release is the kernel's own name, as uname -r prints it.
	Release string
	// UserMode says that the kernel is a program of the host (user-mode-linux).
	UserMode bool

	dir   string
	image string
	// modules maps a module's name to its file.
	modules map[string]string
	// builtin is nil when the package does not say what is built in.
	builtin map[string]bool
}

// Open reads an unpacked package.
func Open(dir string) (*Kernel, error) {
	folder, err := firstMatch(dir, "lib/modules/*", "usr/lib/modules/*", "usr/lib/uml/modules/*")
	if err != nil {
		return nil, fmt.Errorf("open kernel: modules: %w", err)
	}
	k := &Kernel{dir: dir, Release: filepath.Base(folder), modules: make(map[string]string)}
	k.image, err = firstMatch(dir, "boot/vmlinuz-"+k.Release, "usr/lib/modules/*/vmlinuz", "usr/bin/linux.uml")
	if err != nil {
		return nil, fmt.Errorf("open kernel: image: %w", err)
	}
	k.UserMode = filepath.Base(k.image) == "linux.uml"
	if err := k.findModules(folder); err != nil {
		return nil, fmt.Errorf("open kernel: %w", err)
	}
	return k, nil
}

// firstMatch returns the first file that one of the patterns finds below dir.
func firstMatch(dir string, patterns ...string) (string, error) {
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("%s in %s: %w", patterns[0], dir, fs.ErrNotExist)
}

// findModules goes by file name: the list of dependencies is made when the
// package is installed, and so is missing here.
func (k *Kernel) findModules(folder string) error {
	err := filepath.WalkDir(filepath.Join(folder, "kernel"), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, _, ok := strings.Cut(d.Name(), ".ko"); ok && !d.IsDir() {
			k.modules[moduleName(name)] = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	list, err := os.ReadFile(filepath.Join(folder, "modules.builtin"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // from 7.0 on it is in another package
	}
	if err != nil {
		return err
	}
	k.builtin = make(map[string]bool)
	for _, line := range strings.Fields(string(list)) {
		k.builtin[moduleName(strings.TrimSuffix(filepath.Base(line), ".ko"))] = true
	}
	return nil
}

// bootImage returns the file to start. For QEMU that is the plain ELF kernel,
// taken out of the compressed one once and kept beside it, since the machine
// would spend seconds on that each time.
func (k *Kernel) bootImage() (string, error) {
	if k.UserMode {
		return k.image, nil
	}
	plain := filepath.Join(k.dir, "vmlinux-"+k.Release)
	if _, err := os.Stat(plain); err == nil {
		return plain, nil
	}
	packed, err := os.ReadFile(k.image)
	if err != nil {
		return "", err
	}
	image, err := unpackImage(packed)
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", k.image, err)
	}
	return plain, writeWhole(plain, image)
}

// writeWhole writes a file so that nobody finds a part of it.
func writeWhole(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// packer is a compressed format: how it begins, and the command that reads it.
type packer struct {
	magic   string
	suffix  string
	command []string
}

func packers() []packer {
	return []packer{
		{"\x28\xb5\x2f\xfd", ".zst", []string{"zstd", "-qdc"}},
		{"\xfd7zXZ\x00", ".xz", []string{"xz", "-dc"}},
		{"\x02\x21\x4c\x18", ".lz4", []string{"lz4", "-dc"}},
		{"\x1f\x8b\x08", ".gz", []string{"gzip", "-dc"}},
	}
}

func (p packer) unpack(data []byte) ([]byte, error) {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Stdin = bytes.NewReader(data)
	return cmd.Output()
}

// unpackImage finds the ELF kernel in a bzImage. What begins like a packed
// stream may be chance, so each place is tried.
func unpackImage(image []byte) ([]byte, error) {
	var last error
	for _, p := range packers() {
		for at := 0; ; at++ {
			next := bytes.Index(image[at:], []byte(p.magic))
			if next < 0 {
				break
			}
			at += next
			// The commands complain of what follows the stream: the
			// output alone tells.
			plain, err := p.unpack(image[at:])
			if bytes.HasPrefix(plain, []byte("\x7fELF")) {
				return plain, nil
			}
			last = err
		}
	}
	return nil, fmt.Errorf("no kernel inside: %w", last)
}
