package health

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/model"
)

// clean fails unless text is fit for a terminal and short.
func clean(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%s %q cannot be printed", what, text)
	}
	if len(text) > 20*excerptLength {
		t.Errorf("%s has %d bytes", what, len(text))
	}
}

// However a response is cut into pieces it gets the same verdict, and what is
// said of it can be printed.
func FuzzHTTPResponse(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabcdef", "HTTP/1.0 200\r\n\r\n", "ICY 200 OK\r\n\r\n\r\n\r\n",
		"", "\r\n\r\n", " 200 \r\n\r\n", "HTTP/1.0 200 OK\n\n", "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\nx", "a 200 b\r\ncontent-length:18446744073709551616\r\n\r\nOK\n",
		"HTTP/1.0 200 \x1b[31m\r\n\r\n" + strings.Repeat("x", 300),
	} {
		f.Add([]byte(text), uint8(3), uint16(0))
		f.Add([]byte(text), uint8(1), uint16(4))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8, from uint16) {
		url := model.URL{Digest: sumOf("hello"), Regex: &model.Regex{Pattern: "(hello|O.$)", MinOffset: uint32(from)}}
		pattern, err := (&patterns{}).get(url.Regex)
		if err != nil {
			t.Fatal(err)
		}
		var verdicts []string
		for _, size := range []int{len(text) + 1, int(size) + 1} {
			r, err := readResponse(&pieces{text: string(text), size: size}, reading{digest: true, pattern: pattern})
			if r.received > int64(len(text)) || r.body > r.received || len(r.first) > excerptLength+1 || len(r.part) > longestSearch {
				t.Errorf("%d bytes, %d of the body, %d and %d kept, of %d", r.received, r.body, len(r.first), len(r.part), len(text))
			}
			verdict := fmt.Sprintf("%d %d %d %v", r.status, r.length, r.body, httpCause(err, model.Check{}, r.received))
			if err == nil {
				verdict += fmt.Sprint(r.judge(url, pattern), r.judge(model.URL{}, nil))
			}
			clean(t, "verdict", verdict)
			clean(t, "excerpt", excerpt(r.first))
			verdicts = append(verdicts, verdict)
		}
		if verdicts[0] != verdicts[1] {
			t.Errorf("at once %q, in pieces %q", verdicts[0], verdicts[1])
		}
	})
}

// A server says what it likes; the client ends and what it reports can be
// printed.
func FuzzSMTP(f *testing.F) {
	for _, text := range []string{
		"220 a\r\n250 b\r\n221 c\r\n", "220-a\r\n220 b\r\n250-c\n250 d\n500 e\n", "220\n250\n\n", "554 no\r\n", "", "220 a", strings.Repeat("220-", 3000),
		strings.Repeat("220-\r\n", 200), "220 \x1b[31m\n2500 x\n",
	} {
		f.Add([]byte(text), uint8(2))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		var said bytes.Buffer
		talk := newSMTPTalk(struct {
			io.Reader
			io.Writer
		}{&pieces{text: string(text), size: int(size) + 1}, &said})
		err := talk.hold("x")
		clean(t, "error", fmt.Sprint(err))
		clean(t, "excerpt", excerpt(talk.received))
		if len(talk.received) > (mostLines+1)*longestLine {
			t.Errorf("%d bytes kept", len(talk.received))
		}
		passes := err == nil
		if passes && said.String() != "HELO x\r\nQUIT\r\n" {
			t.Errorf("passed after saying %q", said.String())
		}
		if passes && (!bytes.HasPrefix(text, []byte("220")) || !bytes.Contains(text, []byte("\n250"))) {
			t.Errorf("%q passes", text)
		}
	})
}

// Only a datagram with our id and the response bit counts, and only with rcode
// 0 it passes.
func FuzzDNS(f *testing.F) {
	query, err := dnsQuery(model.DNSSpec{}, 0x1234)
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range [][]byte{nil, query, answerDNS(query, 0), answerDNS(query, 2), query[:11], bytes.Repeat([]byte{0xff}, 12), append([]byte{0x12, 0x34, 0x81}, make([]byte, 600)...)} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, err := judgeDNS(data, 0x1234)
		want := len(data) >= 12 && data[0] == 0x12 && data[1] == 0x34 && data[2]&0x80 != 0
		if ours != want {
			t.Errorf("%x counts: %v, want %v", data, ours, want)
		}
		if passes := ours && err == nil; passes != (want && data[3]&0xf == 0) {
			t.Errorf("%x passes: %v", data, passes)
		}
		clean(t, "error", fmt.Sprint(err))
		clean(t, "text", dnsText(data))
	})
}

// A reply passes exactly if no bit differs that is not ignored.
func FuzzUDP(f *testing.F) {
	f.Add([]byte("abc"), []byte("abc"), []byte{}, uint16(0), uint16(255))
	f.Add([]byte("abd"), []byte("abc"), []byte{0, 0, 0x0f}, uint16(3), uint16(3))
	f.Add([]byte("\x1b"), []byte("abc"), []byte{0xff}, uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, data, reply, ignore []byte, least, most uint16) {
		err := judgeUDP(model.UDPSpec{RequireReply: true, Reply: reply, ReplyIgnore: ignore, MinReply: least, MaxReply: most}, data)
		want := len(reply) == 0 || len(data) >= int(least) && len(data) <= int(most)
		for i := range data {
			if i < len(reply) && len(reply) > 0 {
				mask := byte(0xff)
				if i < len(ignore) {
					mask = ^ignore[i]
				}
				want = want && data[i]&mask == reply[i]&mask
			}
		}
		if (err == nil) != want {
			t.Errorf("%x for %x without %x: %v, want success %v", data, reply, ignore, err, want)
		}
		clean(t, "error", fmt.Sprint(err))
		clean(t, "excerpt", hexExcerpt(data))
	})
}

// No packet but an echo reply of ours counts.
func FuzzEchoReply(f *testing.F) {
	for _, six := range []bool{false, true} {
		packet, err := echoRequest(six, 1, 2, 3)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, six)
		packet[0] = map[bool]byte{false: 0, true: 129}[six]
		f.Add(packet, six)
		f.Add(packet[:9], six)
	}
	f.Fuzz(func(t *testing.T, packet []byte, six bool) {
		mark, ok := echoReply(packet, six)
		want := len(packet) == 16+len(pingText) && packet[0] == map[bool]byte{false: 0, true: 129}[six] && string(packet[16:]) == pingText
		if ok != want || ok && mark != uint64(packet[8])<<56|uint64(packet[9])<<48|uint64(packet[10])<<40|uint64(packet[11])<<32|
			uint64(packet[12])<<24|uint64(packet[13])<<16|uint64(packet[14])<<8|uint64(packet[15]) {
			t.Errorf("%x: %x, %v, want %v", packet, mark, ok, want)
		}
	})
}
