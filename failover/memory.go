package failover

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is a file that outlives a crash of the process, not of the machine: it
// holds for each instance when it last advertised as master. It is mapped, so
// that a note costs no system call beside that for the clock. A nil memory
// remembers nothing.
type memory struct {
	data []byte
	// made is the path of a file that was not there before.
	made string
}

// The file begins with the machine's boot id, which makes notes of an earlier
// boot worthless. Slots follow: 24 bytes of a hash of the instance's name, and
// the time since boot in nanoseconds, 0 for none, in the machine's byte order.
const (
	memoryHeader = 64
	slotLen      = 32
	slotKeyLen   = 24
	slotCount    = 4096
	memoryLen    = memoryHeader + slotCount*slotLen
)

// openMemory opens or makes the file, which belongs to one process.
func openMemory(path, bootID string) (*memory, error) {
	made := path
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrExist) {
		made = ""
		f, err = os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open memory of masterships: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(memoryLen); err != nil {
		return nil, fmt.Errorf("open memory of masterships: %w", err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, memoryLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map memory of masterships %s: %w", path, err)
	}
	m := &memory{data: data, made: made}
	header := memoryHead(bootID)
	if [memoryHeader]byte(data) != header {
		clear(data)
		copy(data, header[:])
	}
	return m, nil
}

// readBootID returns the kernel's random number of this boot.
func readBootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// WasMaster reports whether a process of this boot that used the memory
// advertised as master of anything within the last while, and did not give it
// up. A file that is missing or not to be read says no.
func WasMaster(path string, within time.Duration) bool {
	data, err := os.ReadFile(path)
	if err != nil || len(data) != memoryLen {
		return false
	}
	boot, err := readBootID()
	if err != nil || [memoryHeader]byte(data) != memoryHead(boot) {
		return false
	}
	now := sinceBoot()
	for at := memoryHeader; at < len(data); at += slotLen {
		noted := int64(binary.NativeEndian.Uint64(data[at+slotKeyLen:]))
		if noted != 0 && now-noted < int64(within) {
			return true
		}
	}
	return false
}

// memoryHead is how the file begins in a boot.
func memoryHead(bootID string) (header [memoryHeader]byte) {
	copy(header[:], "evenkeel 1 "+bootID)
	return header
}

func (m *memory) close() error {
	if m == nil {
		return nil
	}
	return unix.Munmap(m.data)
}

// drop closes a memory that nothing was noted in, and removes the file if it was
// made for that.
func (m *memory) drop() error {
	if m == nil || m.made == "" {
		return m.close()
	}
	return errors.Join(m.close(), os.Remove(m.made))
}

// slot is the note of one instance.
type slot struct{ at *int64 }

// errMemoryFull: the file has no room for more instances.
var errMemoryFull = errors.New("memory of masterships is full")

// slot returns the slot of a name, making one if needed.
func (m *memory) slot(name string) (slot, error) {
	if m == nil {
		return slot{}, nil
	}
	sum := sha256.Sum256([]byte(name))
	key := [slotKeyLen]byte(sum[:])
	first := int(binary.NativeEndian.Uint32(key[:])) & (slotCount - 1)
	for n := range slotCount {
		b := m.data[memoryHeader+(first+n)%slotCount*slotLen:][:slotLen]
		if [slotKeyLen]byte(b) == ([slotKeyLen]byte{}) {
			copy(b, key[:])
		}
		if [slotKeyLen]byte(b) == key {
			// Slots are aligned, as is the mapping.
			return slot{(*int64)(unsafe.Pointer(&b[slotKeyLen]))}, nil
		}
	}
	return slot{}, errMemoryFull
}

// stamp notes that the instance advertises as master now.
func (s slot) stamp() {
	if s.at != nil {
		atomic.StoreInt64(s.at, sinceBoot())
	}
}

// clear notes that it is no master.
func (s slot) clear() {
	if s.at != nil {
		atomic.StoreInt64(s.at, 0)
	}
}

// age returns how long ago the instance last advertised as master; false if it
// gave that up, or never was one.
func (s slot) age() (time.Duration, bool) {
	if s.at == nil {
		return 0, false
	}
	at := atomic.LoadInt64(s.at)
	if at == 0 {
		return 0, false
	}
	return time.Duration(sinceBoot() - at), true
}

// sinceBoot goes on while the machine sleeps: others take over meanwhile.
func sinceBoot() int64 {
	var ts unix.Timespec
	// Raw, since it is called for each advert and returns at once.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return ts.Nano()
}
