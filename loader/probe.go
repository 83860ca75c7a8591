package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// FactKind names what a Fact is about.
type FactKind string

// What Probe looks at.
const (
	FactKernel     FactKind = "kernel"
	FactPrivileges FactKind = "privileges"
	FactBPF        FactKind = "bpf"
	FactBPFFS      FactKind = "bpffs"
	FactPins       FactKind = "pins"
	FactBTF        FactKind = "btf"
)

// Fact is one thing that the datapath needs of the machine.
type Fact struct {
	Kind FactKind `json:"kind"`
	OK   bool     `json:"ok"`
	// Needed is set when the datapath cannot start without.
	Needed bool `json:"needed"`
	// Found is what was found, in one line.
	Found string `json:"found"`
	// Fix says in one line what to do; empty when OK.
	Fix string `json:"fix,omitempty"`
}

// UnfitError is returned by Start on a machine that lacks something.
type UnfitError struct{ Fact Fact }

// Error returns one line: what was found, and what to do.
func (e *UnfitError) Error() string {
	return fmt.Sprintf("start the XDP datapath: %s; %s", e.Fact.Found, e.Fact.Fix)
}

// firstProblem returns the first fact that forbids to start.
func firstProblem(facts []Fact) error {
	for _, f := range facts {
		if f.Needed && !f.OK {
			return &UnfitError{f}
		}
	}
	return nil
}

// The oldest kernel that loads the programs.
const oldestMajor, oldestMinor = 5, 15

// Probe looks at the machine, and at the pin directory; empty is DefaultDir. It
// changes nothing.
func Probe(dir string) []Fact {
	if dir == "" {
		dir = DefaultDir
	}
	facts := []Fact{probeKernel(), probePrivileges()}
	if facts[1].OK {
		facts = append(facts, probeBPF())
	}
	return append(facts, probeBPFFS(filepath.Dir(dir)), probePins(dir), probeBTF("/sys/kernel/btf/vmlinux"))
}

func probeKernel() Fact {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Fact{Kind: FactKernel, Needed: true, Found: fmt.Sprintf("kernel version: %v", err), Fix: "run on Linux"}
	}
	return judgeKernel(unix.ByteSliceToString(u.Release[:]))
}

func judgeKernel(release string) Fact {
	f := Fact{Kind: FactKernel, Needed: true, Found: "kernel " + release}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		// An unreadable version is no reason to refuse; the program says more.
		f.OK = true
		return f
	}
	f.OK = major > oldestMajor || major == oldestMajor && minor >= oldestMinor
	if !f.OK {
		f.Fix = fmt.Sprintf("install Linux %d.%d or newer", oldestMajor, oldestMinor)
	}
	return f
}

// capability is one that the datapath needs, and the set of those any of which
// will do.
type capability struct {
	name string
	any  uint64
}

// neededCapabilities lists them. Without CAP_PERFMON the verifier forbids the
// arithmetic on packet pointers that the program does.
func neededCapabilities() []capability {
	return []capability{
		{"CAP_NET_ADMIN", 1 << unix.CAP_NET_ADMIN},
		{"CAP_BPF", 1<<unix.CAP_BPF | 1<<unix.CAP_SYS_ADMIN},
		{"CAP_PERFMON", 1<<unix.CAP_PERFMON | 1<<unix.CAP_SYS_ADMIN},
	}
}

func probePrivileges() Fact {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return Fact{Kind: FactPrivileges, Needed: true, Found: fmt.Sprintf("capabilities: %v", err), Fix: "mount /proc"}
	}
	return judgePrivileges(string(status))
}

// judgePrivileges reads the effective set from the text of proc's status.
func judgePrivileges(status string) Fact {
	f := Fact{Kind: FactPrivileges, Needed: true}
	var effective uint64
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			// What cannot be read is no capability.
			effective, _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	var missing []string
	for _, c := range neededCapabilities() {
		if effective&c.any == 0 {
			missing = append(missing, c.name)
		}
	}
	if f.OK = missing == nil; f.OK {
		f.Found = "all capabilities for BPF and XDP"
		return f
	}
	f.Found = "missing " + strings.Join(missing, ", ")
	f.Fix = "run as root, or give the process these capabilities"
	return f
}

// probeBPF makes a map and forgets it. It is of a type that takes CAP_BPF
// whatever sysctls say, and root of a user namespace has that in name only.
func probeBPF() Fact {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err == nil {
		m.Close()
	}
	return judgeBPF(err)
}

func judgeBPF(err error) Fact {
	f := Fact{Kind: FactBPF, Needed: true}
	switch {
	case err == nil:
		f.OK, f.Found = true, "the kernel makes BPF maps"
	case errors.Is(err, unix.ENOSYS):
		f.Found = "the kernel has no BPF"
		f.Fix = "use a kernel with CONFIG_BPF_SYSCALL, or allow the system call bpf where a filter forbids it"
	case errors.Is(err, unix.EPERM):
		f.Kind = FactPrivileges
		f.Found = "the kernel refuses BPF in spite of the capabilities"
		f.Fix = "run as root of the machine, outside of user namespaces, or allow the system call bpf where a filter forbids it"
	default:
		f.Found = fmt.Sprintf("the kernel makes no BPF map: %s", errnoText(err))
		f.Fix = "give the process more memory, or see the kernel's log"
	}
	return f
}

func probeBPFFS(dir string) Fact {
	f := Fact{Kind: FactBPFFS, Needed: true, Found: "bpf file system on " + dir}
	err := checkBPFFS(dir)
	switch {
	case err == nil:
		f.OK = true
	case errors.Is(err, errNotBPFFS):
		f.Found = "no bpf file system on " + dir
		f.Fix = "mount -t bpf bpf " + dir
	default:
		f.Found = err.Error()
		f.Fix = fmt.Sprintf("make %s a directory in a bpf file system", dir)
	}
	return f
}

// probePins says whether the pin directory, if there is one, is ours to use.
func probePins(dir string) Fact {
	f := Fact{Kind: FactPins, Needed: true, OK: true, Found: "nothing is pinned in " + dir}
	var st unix.Stat_t
	switch err := unix.Stat(dir, &st); {
	case errors.Is(err, unix.ENOENT):
		return f
	case err != nil:
		f.OK, f.Found, f.Fix = false, fmt.Sprintf("stat %s: %v", dir, err), "run as the user that owns it, or as root"
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		f.OK, f.Found, f.Fix = false, dir+" is no directory", "remove it"
	case st.Uid != uint32(os.Geteuid()):
		f.OK = false
		f.Found = fmt.Sprintf("%s belongs to user %d, and this is user %d", dir, st.Uid, os.Geteuid())
		f.Fix = fmt.Sprintf("run as user %d, or remove the directory if it is nobody's", st.Uid)
	default:
		f.Found = "pin directory " + dir
	}
	return f
}

// probeBTF is not needed to run: the programs use no kernel types. bpftool prints
// maps by name only with it.
func probeBTF(path string) Fact {
	if _, err := os.Stat(path); err != nil {
		return Fact{Kind: FactBTF, Found: "the kernel has no BTF", Fix: "use a kernel with CONFIG_DEBUG_INFO_BTF, so that bpftool prints field names"}
	}
	return Fact{Kind: FactBTF, OK: true, Found: "kernel with BTF"}
}
