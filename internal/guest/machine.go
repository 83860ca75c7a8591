package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Lane is a way of running a machine.
type Lane string

// The lanes; the package comment says what each is for.
const (
	Fast    Lane = "fast"
	Normal  Lane = "normal"
	Counted Lane = "counted"
)

// files are what one machine is started with, in a folder of its own.
type files struct {
	dir     string
	image   string
	initrd  string
	console string
}

func newFiles(dir, image string) files {
	return files{
		dir: dir, image: image,
		initrd:  filepath.Join(dir, "initrd"),
		console: filepath.Join(dir, "console"),
	}
}

// outputFD is the descriptor of the command's output in the emulator, and
// consoleFD that of the console where it is not opened by name.
const (
	outputFD  = 3
	consoleFD = 4
)

// commandLine returns the program that is the machine, with its arguments.
// memory is in MiB.
func commandLine(lane Lane, memory int, f files) []string {
	if lane == Fast {
		return userModeLine(memory, f)
	}
	return emulatorLine(lane, memory, f)
}

// quiet are the arguments of every kernel: end on a panic, and nothing that
// costs time on a machine that lives for seconds.
func quiet() []string {
	return []string{
		"panic=-1", "oops=panic", "init_on_alloc=0", "rcupdate.rcu_expedited=1",
		"random.trust_cpu=on", "net.ifnames=0", "loglevel=4",
	}
}

func userModeLine(memory int, f files) []string {
	line := []string{
		f.image,
		"mem=" + strconv.Itoa(memory) + "M",
		"initrd=" + f.initrd,
		"umid=machine", "uml_dir=" + f.dir,
		"con=null", fmt.Sprintf("con0=null,fd:%d", consoleFD),
		"ssl=null", fmt.Sprintf("ssl1=null,fd:%d", outputFD),
	}
	return append(line, quiet()...)
}

func emulatorLine(lane Lane, memory int, f files) []string {
	// A small cache of translated code: a larger one takes memory and gives no
	// speed. One processor: the kernel changes its code while it runs (it does
	// when IPVS puts its hooks in), and with two QEMU 7.2 now and then runs into
	// the breakpoint that shall keep the other one out. Under the lane counted,
	// 6.1 also hangs at the start of the second.
	const accel = "tcg,thread=single,tb-size=128"
	kernel := append(quiet(),
		"console=ttyS0", "8250.nr_uarts=2", "nokaslr", "mitigations=off", "tsc=reliable", "no_timer_check",
		"selinux=0", "apparmor=0", "audit=0", "cgroup_disable=memory", "i8042.noprobe=1", "pci=lastbus=0",
	)
	line := []string{
		"qemu-system-x86_64",
		"-M", "pc,usb=off,vmport=off,hpet=off", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", accel,
		// The emulated cmpxchg16b of QEMU 7.2 damages the flags: 6.12
		// then dies at random.
		"-cpu", "max,-cx16,-la57",
		"-smp", "1", "-m", strconv.Itoa(memory) + "M",
		"-kernel", f.image, "-initrd", f.initrd, "-append", strings.Join(kernel, " "),
		"-chardev", "file,id=console,path=" + f.console,
		// Not the device stdio, which drops output when its input has ended.
		"-chardev", fmt.Sprintf("file,id=output,append=on,path=/proc/self/fd/%d", outputFD),
		"-serial", "chardev:console", "-serial", "chardev:output",
	}
	if lane == Counted {
		line = append(line, "-icount", "shift=0,sleep=off")
	}
	return line
}

// consoleTail returns the last lines that the kernel printed.
func consoleTail(f files) string {
	const last = 30
	text, err := os.ReadFile(f.console)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(string(text), "\r", ""), "\n"), "\n")
	return strings.Join(lines[max(len(lines)-last, 0):], "\n")
}
