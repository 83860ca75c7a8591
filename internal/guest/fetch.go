package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// ErrUnreachable means that a kernel is not in the cache and the package
// archive cannot be reached.
var ErrUnreachable = errors.New("the Debian archive cannot be reached")

// Source is where a kernel comes from.
type Source struct {
	// Name is how a kernel is asked for, such as 6.12.
	Name string
	// Suite is a Debian suite that carries it, and Package its name there or
	// that of the package that stands for the newest one.
	Suite, Package string
	// Security says that the newest one is in the suite's security archive.
	Security bool
}

// Sources returns the kernels that Fetch knows. The cloud kernels are the
// smallest, with IPVS, BTF and all that the tests want. The exact versions
// change with each point release of Debian.
func Sources() []Source {
	const cloud = "linux-image-cloud-amd64"
	return []Source{
		{Name: "6.1", Suite: "bookworm", Package: cloud, Security: true},
		{Name: "6.12", Suite: "trixie", Package: cloud, Security: true},
		{Name: "newest", Suite: "trixie-backports", Package: cloud},
		{Name: "uml", Suite: "bookworm", Package: "user-mode-linux"},
	}
}

// CacheDir returns the folder of downloaded kernels: that named by
// EVENKEEL_KERNELS, or one in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("EVENKEEL_KERNELS"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(dir, "evenkeel", "kernels"), nil
}

// keep is how long a downloaded kernel does before a newer one is looked for.
const keep = 7 * 24 * time.Hour

// Fetch returns the kernel of a name out of the cache folder, and downloads it
// first when it is missing. One that is older than a week is renewed when the
// archive can be reached. Nothing is installed, and apt's own settings and
// lists stay as they are. The error wraps ErrUnreachable, or says what failed.
func Fetch(ctx context.Context, name, cache string) (*Kernel, error) {
	at := -1
	var known []string
	for i, s := range Sources() {
		known = append(known, s.Name)
		if s.Name == name {
			at = i
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("fetch kernel %q: not one of %s", name, strings.Join(known, ", "))
	}
	dir := filepath.Join(cache, name)
	if err := fetchInto(ctx, Sources()[at], cache, dir); err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", name, err)
	}
	return Open(dir)
}

func fetchInto(ctx context.Context, s Source, cache, dir string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(cache, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	there, err := os.Stat(dir)
	if err == nil && time.Since(there.ModTime()) < keep {
		return nil
	}
	missing := errors.Is(err, fs.ErrNotExist)
	if err := replace(ctx, s, cache, dir); err != nil {
		if missing {
			return err
		}
		// The old one does. Not every test of a run shall try again.
		again := time.Now().Add(24*time.Hour - keep)
		return os.Chtimes(dir, time.Time{}, again)
	}
	return nil
}

// replace downloads a kernel beside dir and then puts it there.
func replace(ctx context.Context, s Source, cache, dir string) error {
	work, err := os.MkdirTemp(cache, ".fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh, err := download(ctx, s, work)
	if err != nil {
		return err
	}
	// Its age counts from now, not from when the package was made.
	if err := os.Chtimes(fresh, time.Time{}, time.Now()); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// lock keeps others from fetching at the same time.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return func() { f.Close() }, nil
}

// download lets apt, with settings of its own below work, fetch the packages
// of a kernel, and returns the folder that they were unpacked into.
func download(ctx context.Context, s Source, work string) (string, error) {
	a, err := newApt(s, work)
	if err != nil {
		return "", err
	}
	if out, err := a.run(ctx, "apt-get", "update", "-q", "--error-on=any"); err != nil {
		return "", fmt.Errorf("%w: %w: %s", ErrUnreachable, err, lastLine(out))
	}
	packages, err := a.parts(ctx, s.Package)
	if err != nil {
		return "", err
	}
	if out, err := a.run(ctx, "apt-get", append([]string{"download", "-q"}, packages...)...); err != nil {
		return "", fmt.Errorf("%w: download %s: %w: %s", ErrUnreachable, strings.Join(packages, " "), err, lastLine(out))
	}
	files, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return "", err
	}
	root := filepath.Join(work, "root")
	for _, f := range files {
		if out, err := a.run(ctx, "dpkg-deb", "--extract", f, root); err != nil {
			return "", fmt.Errorf("unpack %s: %w: %s", filepath.Base(f), err, lastLine(out))
		}
	}
	// Debug symbols of user-mode-linux.
	return root, os.RemoveAll(filepath.Join(root, "usr/lib/debug"))
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// apt runs package commands with lists and settings below one folder.
type apt struct {
	dir string
	env []string
}

func newApt(s Source, dir string) (apt, error) {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return apt{}, err
		}
	}
	settings := filepath.Join(dir, "settings")
	text := fmt.Sprintf(`Dir::State::Lists "%[1]s/lists";
Dir::State::status "/dev/null";
Dir::Cache "%[1]s/cache";
Dir::Etc::SourceList "%[1]s/sources";
Dir::Etc::SourceParts "-";
APT::Sandbox::User "";
APT::Architecture "amd64";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
`, dir)
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
		return apt{}, err
	}
	archive, security := mirrors()
	const key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	sources := fmt.Sprintf("deb %s %s %s main\n", key, archive, s.Suite)
	if s.Security {
		sources += fmt.Sprintf("deb %s %s %s-security main\n", key, security, s.Suite)
	}
	if err := os.WriteFile(filepath.Join(dir, "sources"), []byte(sources), 0o644); err != nil {
		return apt{}, err
	}
	return apt{dir: dir, env: append(os.Environ(), "APT_CONFIG="+settings, "LC_ALL=C")}, nil
}

// mirrors returns the Debian archives that the machine's own apt uses, since a
// machine behind a mirror may reach nothing else; Debian's own when apt names
// none.
func mirrors() (archive, security string) {
	archive, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
	var text bytes.Buffer
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, f := range files {
			if data, err := os.ReadFile(f); err == nil {
				text.Write(data)
				text.WriteByte('\n')
			}
		}
	}
	foundArchive, foundSecurity := mirrorsIn(text.String())
	if foundArchive != "" {
		archive = foundArchive
	}
	if foundSecurity != "" {
		security = foundSecurity
	}
	return archive, security
}

// mirrorsIn finds the first archive of each kind in apt's sources, in their
// old or new form. Only paths that end as Debian's do count.
func mirrorsIn(sources string) (archive, security string) {
	address := regexp.MustCompile(`(?m)^(?:URIs:|deb )[^#\n]*?(https?://[^\s]+)`)
	for _, m := range address.FindAllStringSubmatch(sources, -1) {
		switch at := strings.TrimSuffix(m[1], "/"); {
		case archive == "" && strings.HasSuffix(at, "/debian"):
			archive = at
		case security == "" && strings.HasSuffix(at, "debian-security"):
			security = at
		}
	}
	return archive, security
}

func (a apt) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = a.dir, a.env
	return cmd.CombinedOutput()
}

// parts returns the packages that make up a kernel: a package that stands for
// the newest one names the real one, and from 7.0 on that is in three parts.
func (a apt) parts(ctx context.Context, name string) ([]string, error) {
	images, err := a.depends(ctx, name, `linux-image-[0-9]\S*`)
	if err != nil {
		return nil, err
	}
	if len(images) > 0 {
		name = images[0]
	}
	rest, err := a.depends(ctx, name, `linux-(?:binary|modules|base)-[0-9]\S*`)
	return append([]string{name}, rest...), err
}

// depends returns what a package depends on, as far as it matches.
func (a apt) depends(ctx context.Context, name, match string) ([]string, error) {
	out, err := a.run(ctx, "apt-cache", "depends", name)
	if err != nil {
		return nil, fmt.Errorf("read what %s depends on: %w: %s", name, err, lastLine(out))
	}
	var found []string
	line := regexp.MustCompile(`(?m)^\s*Depends: (` + match + `)$`)
	for _, m := range line.FindAllSubmatch(out, -1) {
		found = append(found, string(m[1]))
	}
	return found, nil
}
