package track

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestKernelProcs finds the test's own process.
func TestKernelProcs(t *testing.T) {
	k := KernelProcesses{}
	pids, err := k.List()
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("List = %v, %v, want %d in it", pids, err, os.Getpid())
	}
	p, ok := k.Proc(os.Getpid())
	name := filepath.Base(os.Args[0])
	if !ok || p.Name != name[:min(len(name), maxName)] || !slices.Equal(p.Args, os.Args) {
		t.Errorf("Proc = %+v, %v, want %q", p, ok, os.Args)
	}
	if p, ok := k.Proc(1 << 30); ok {
		t.Errorf("Proc of nobody = %+v", p)
	}
	if pids, err := (KernelProcesses{ProcFS: "/nonexistent"}).List(); err == nil {
		t.Errorf("List of nothing = %v", pids)
	}
}

func TestParseStat(t *testing.T) {
	tests := []struct {
		stat, name string
		alive      bool
	}{
		{"7 (nginx) S 1 7 7 0", "nginx", true},
		{"7 (a) b (c) R 1", "a) b (c", true},
		{"7 () S 1", "", true},
		{"7 (gone) Z 1", "gone", false},
		{"7 (gone) X 1", "gone", false},
		{"7 (cut)", "", false},
		{"7", "", false},
		{"", "", false},
		{")(", "", false},
	}
	for _, tt := range tests {
		if name, alive := parseStat([]byte(tt.stat)); name != tt.name || alive != tt.alive {
			t.Errorf("parseStat(%q) = %q, %v, want %q, %v", tt.stat, name, alive, tt.name, tt.alive)
		}
	}
}

func TestParseCmdline(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "a\x00": {"a"}, "a\x00\x00b c\x00": {"a", "", "b c"}, "title": {"title"}, "\x00": {""},
	} {
		if diff := cmp.Diff(want, parseCmdline([]byte(text))); diff != "" {
			t.Errorf("parseCmdline(%q) (-want +got):\n%s", text, diff)
		}
	}
}

// datagram builds what the kernel sends: the netlink header, the connector's,
// the event's, and the event's numbers.
func datagram(what uint32, fields ...uint32) []byte {
	order := binary.NativeEndian
	var b []byte
	length := eventHeader + 4*len(fields)
	b = order.AppendUint32(b, uint32(unix.SizeofNlMsghdr+cnHeader+length))
	b = append(b, make([]byte, 12)...)
	b = order.AppendUint32(b, cnProc)
	b = order.AppendUint32(b, cnProc)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = order.AppendUint32(b, what)
	b = append(b, make([]byte, 12)...)
	for _, f := range fields {
		b = order.AppendUint32(b, f)
	}
	return b
}

func TestConnectorEvents(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want ProcessEvent
	}{
		{"fork", datagram(eventFork, 11, 10, 20, 20), ProcessEvent{Forked, 20, 10}},
		{"new thread", datagram(eventFork, 11, 10, 12, 10), ProcessEvent{}},
		{"exec", datagram(eventExec, 20, 20), ProcessEvent{Kind: Renamed, PID: 20}},
		{"name", datagram(eventComm, 20, 20, 0, 0, 0, 0), ProcessEvent{Kind: Renamed, PID: 20}},
		{"name of a thread", datagram(eventComm, 21, 20, 0, 0, 0, 0), ProcessEvent{}},
		{"exit", datagram(eventExit, 20, 20, 0, 17, 1, 1), ProcessEvent{Kind: Exited, PID: 20}},
		{"exit of a thread", datagram(eventExit, 21, 20, 0, 17, 1, 1), ProcessEvent{}},
		{"user", datagram(4, 20, 20, 0, 0), ProcessEvent{}},
		{"yes", datagram(eventAck, 0), ProcessEvent{}},
		{"cut", datagram(eventFork, 11, 10), ProcessEvent{}},
	}
	for _, tt := range tests {
		what, data, ok := parseConnector(tt.data)
		if !ok {
			t.Errorf("%s: not parsed", tt.name)
			continue
		}
		got, any := processEvent(what, data)
		if any != (tt.want != ProcessEvent{}) || any && got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, any, tt.want)
		}
		for n := range tt.data {
			if _, _, ok := parseConnector(tt.data[:n]); ok {
				t.Errorf("%s: %d bytes of %d were parsed", tt.name, n, len(tt.data))
			}
		}
	}
	other := datagram(eventFork, 1, 1, 2, 2)
	other[unix.SizeofNlMsghdr] = 9
	if _, _, ok := parseConnector(other); ok {
		t.Error("a message of another connector was parsed")
	}
}
