//go:build interop

package conformance

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// judge has tshark look at the frames: no advert is malformed or has a bad
// checksum. What it thinks of the sum of version 3 over IPv4 depends on its
// release, since the RFCs can be read in two ways: that one is summed here.
func judge(p *probe, frames []heard) {
	p.Helper()
	file := filepath.Join(p.TempDir(), "adverts.pcap")
	p.check(os.WriteFile(file, pcap(frames), 0o644))
	cmd := exec.Command("tshark", "-r", file, "-o", "ip.check_checksum:TRUE", "-Y", "vrrp && !icmp && !icmpv6",
		"-T", "fields", "-E", "separator=|",
		"-e", "frame.number", "-e", "vrrp.version", "-e", "vrrp.checksum.status", "-e", "ip.checksum.status",
		"-e", "_ws.expert.message", "-e", "_ws.malformed")
	out, err := cmd.Output()
	p.check(err)
	if len(out) == 0 {
		p.Fatal("tshark found no advert")
	}
	const good = "1"
	for _, line := range trimLines(string(out)) {
		f := strings.Split(line, "|")
		if len(f) != 6 {
			p.Fatalf("tshark wrote %q", line)
		}
		a, ok := frames[atoi(f[0])-1].ip()
		if !ok {
			p.Fatalf("tshark sees an advert in frame %s", f[0])
		}
		if a.src.Is4() && f[1] == "3" {
			ph := pseudo(a.src, a.dst, len(a.payload), protoVRRP)
			if sum(ph, a.payload) != 0 && sum(a.payload) != 0 {
				p.Errorf("bad checksum: %x", a.payload)
			}
			f[2] = good
			if strings.Contains(f[4], "checksum") {
				f[4] = ""
			}
		}
		if f[2] != good || f[3] != good && f[3] != "" || f[4] != "" || f[5] != "" {
			p.Errorf("tshark: frame, version, checksum, IP checksum, expert, malformed: %s", line)
		}
	}
}

// pcap returns a capture file.
func pcap(frames []heard) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4)
	b = le.AppendUint32(le.AppendUint64(b, 0), 1<<16)
	b = le.AppendUint32(b, 1) // Ethernet
	for _, h := range frames {
		b = le.AppendUint32(b, uint32(h.at.Unix()))
		b = le.AppendUint32(b, uint32(h.at.Nanosecond()/1000))
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(h.data))), uint32(len(h.data)))
		b = append(b, h.data...)
	}
	return b
}
