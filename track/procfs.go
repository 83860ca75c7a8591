package track

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// KernelProcesses shows the processes of this PID namespace from /proc, and
// their changes by the kernel's process connector. The connector needs
// CAP_NET_ADMIN and is only there in the initial network and PID namespaces.
type KernelProcesses struct {
	// ProcFS is where procfs is mounted; optional, default /proc.
	ProcFS string
}

func (k KernelProcesses) dir() string {
	if k.ProcFS == "" {
		return "/proc"
	}
	return k.ProcFS
}

// List reads the folder of procfs.
func (k KernelProcesses) List() ([]int, error) {
	dir, err := os.Open(k.dir())
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Proc reads stat and cmdline of a process.
func (k KernelProcesses) Proc(pid int) (Proc, bool) {
	dir := filepath.Join(k.dir(), strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Proc{}, false
	}
	name, alive := parseStat(stat)
	if !alive {
		return Proc{}, false
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return Proc{}, false
	}
	return Proc{Name: name, Args: parseCmdline(cmdline)}, true
}

// parseStat returns the name, which stands in brackets and may hold any
// characters, and whether the state after it is that of a living process.
func parseStat(stat []byte) (name string, alive bool) {
	begin, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if begin < 0 || end < begin || end+2 >= len(stat) {
		return "", false
	}
	state := stat[end+2]
	return string(stat[begin+1 : end]), state != 'Z' && state != 'X' && state != 'x'
}

// parseCmdline splits what the kernel ends with a NUL each.
func parseCmdline(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}
