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
// release, since the RFCs can be read in two ways: that one is summed here. It
// only picks frames by filters, since what it prints of a field differs between
// releases too.
func judge(p *probe, frames []heard) {
	p.Helper()
	file := filepath.Join(p.TempDir(), "adverts.pcap")
	p.check(os.WriteFile(file, pcap(frames), 0o644))
	const disputed = "(vrrp.version == 3 && ip)"
	all := picked(p, file, "vrrp")
	if len(all) == 0 {
		p.Fatal("tshark found no advert")
	}
	for _, n := range all {
		a, ok := frames[n-1].ip()
		if !ok {
			p.Fatalf("tshark sees an advert in frame %d", n)
		}
		if a.src.Is4() && a.payload[0]>>4 == 3 && a.proto == protoVRRP {
			ph := pseudo(a.src, a.dst, len(a.payload), protoVRRP)
			if sum(ph, a.payload) != 0 && sum(a.payload) != 0 {
				p.Errorf("bad checksum: %x", a.payload)
			}
		}
	}
	bad := picked(p, file, "_ws.malformed || ip.checksum.status == 0"+
		" || !"+disputed+" && (_ws.expert || !(vrrp.checksum.status == 1))"+
		` || _ws.expert && !(_ws.expert.message contains "hecksum")`)
	if len(bad) > 0 {
		p.Errorf("tshark: malformed, bad checksum, or remarked on: frames %v", bad)
	}
}

// picked returns the numbers of the adverts in a capture that a filter of tshark
// lets through, from 1.
func picked(p *probe, file, filter string) (list []int) {
	p.Helper()
	out, err := exec.Command("tshark", "-r", file, "-o", "ip.check_checksum:TRUE",
		"-Y", "vrrp && !icmp && !icmpv6 && ("+filter+")", "-T", "fields", "-e", "frame.number").Output()
	p.check(err)
	for _, n := range strings.Fields(string(out)) {
		list = append(list, atoi(n))
	}
	return list
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
