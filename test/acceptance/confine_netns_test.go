//go:build netns

package acceptance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ways to be confined, in the variable that TestMain looks at.
const (
	confineVariable = "EVENKEEL_TEST_CONFINE"
	// withoutBPFCapabilities is root without the capabilities for BPF.
	withoutBPFCapabilities = "capabilities"
	// withoutBPF is a kernel without the system call bpf.
	withoutBPF = "bpf"
)

// confineFailed is the exit code when a helper could not be confined.
const confineFailed = 99

// confined makes a command run in one of the ways: by the test binary, which
// confines itself and becomes the command.
func confined(way string, cmd *exec.Cmd) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	helper := exec.Command(self, cmd.Args...)
	helper.Env = append(os.Environ(), confineVariable+"="+way)
	return helper
}

// confineAndExec returns only an error.
func confineAndExec(way string, argv []string) error {
	var err error
	switch way {
	case withoutBPFCapabilities:
		err = dropCapabilities(unix.CAP_BPF, unix.CAP_SYS_ADMIN, unix.CAP_PERFMON)
	case withoutBPF:
		err = refuseBPF()
	default:
		err = fmt.Errorf("no way to confine: %s", way)
	}
	if err != nil {
		return err
	}
	if err := os.Unsetenv(confineVariable); err != nil {
		return err
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}

// dropCapabilities takes capabilities from what root gets with exec.
func dropCapabilities(caps ...uintptr) error {
	for _, c := range caps {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// refuseBPF lets the system call bpf fail as on a kernel that has none.
func refuseBPF() error {
	load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS} // the number of the system call
	filter := []unix.SockFilter{
		load,
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_BPF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return errors.Join(errors.New("set no_new_privs"), err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}
	return nil
}
