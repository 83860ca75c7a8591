package lab

import (
	"strings"
	"testing"
)

func TestNewRefusesBadPrefix(t *testing.T) {
	for _, prefix := range []string{"", "-a", "A", "a/b", "a b", "../a"} {
		if _, err := New(prefix); err == nil || !strings.Contains(err.Error(), "prefix") {
			t.Errorf("New(%q) = %v, want an error about the prefix", prefix, err)
		}
	}
}

func TestBPFFSMountFromMountinfo(t *testing.T) {
	const line = `36 35 98:0 / /tmp/with\040space rw,noatime shared:1 - bpf evenkeel-lab-a rw`
	tests := []struct {
		name, line, source, want string
	}{
		{"ours", line, "evenkeel-lab-a", "/tmp/with space"},
		{"another lab", line, "evenkeel-lab-b", ""},
		{"another type", strings.Replace(line, "- bpf", "- tmpfs", 1), "evenkeel-lab-a", ""},
		{"no optional field", `36 35 98:0 / /m rw - bpf evenkeel-lab-a rw`, "evenkeel-lab-a", "/m"},
		{"cut short", `36 35 98:0 / /m rw`, "evenkeel-lab-a", ""},
		{"empty", "", "evenkeel-lab-a", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := bpffsMount(tt.line, tt.source)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("bpffsMount = %q, %t, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestCPUMask(t *testing.T) {
	for cpu, want := range map[int]string{0: "1", 5: "20", 31: "80000000", 32: "1,00000000", 67: "8,00000000,00000000"} {
		if got := cpuMask(cpu); got != want {
			t.Errorf("CPU %d: %s, want %s", cpu, got, want)
		}
	}
}

func TestCounterInSNMP(t *testing.T) {
	const snmp = "Ip: Forwarding InReceives\nIp: 2 82\nTcp: MaxConn OutRsts InErrs\nTcp: -1 4003 0\nTcpExt: OutRsts\nTcpExt: 7\nUdp: NoPorts\n"
	for _, tt := range []struct {
		group, name string
		want        uint64
		found       bool
	}{
		{"Tcp", "OutRsts", 4003, true},
		{"Ip", "InReceives", 82, true},
		{"Ip", "OutRsts", 0, false},
		{"Tcp", "Tcp:", 0, false},
		{"Tcp", "MaxConn", 0, false}, // is not a count
		{"Udp", "NoPorts", 0, false}, // cut short
		{"Icmp", "InMsgs", 0, false},
	} {
		got, err := counterIn([]byte(snmp), tt.group, tt.name)
		if got != tt.want || (err == nil) != tt.found {
			t.Errorf("counterIn(%s, %s) = %d, %v, want %d, found: %t", tt.group, tt.name, got, err, tt.want, tt.found)
		}
	}
}
