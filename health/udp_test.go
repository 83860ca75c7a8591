package health

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

func udpVerdicts() []udpVerdict {
	say := func(reply string) func([]byte) [][]byte {
		return func([]byte) [][]byte { return [][]byte{[]byte(reply)} }
	}
	silent := func([]byte) [][]byte { return nil }
	return []udpVerdict{
		{name: "silence passes", answer: silent, short: true},
		{name: "any reply passes", answer: say("x"), spec: model.UDPSpec{MinReply: 5, MaxReply: 9}},
		{name: "silence fails with require_reply", answer: silent, spec: model.UDPSpec{RequireReply: true}, short: true, want: "no answer in 400ms"},
		{name: "require_reply", answer: say(""), spec: model.UDPSpec{RequireReply: true, MaxReply: 255}},
		{name: "echo", answer: func(q []byte) [][]byte { return [][]byte{q} }, spec: model.UDPSpec{Payload: []byte{0, 1, 2}, RequireReply: true, Reply: []byte{0, 1, 2}, MaxReply: 3}},
		{name: "another reply", answer: say("ab"), spec: model.UDPSpec{RequireReply: true, Reply: []byte("ax"), MaxReply: 255}, want: "byte 1 of the reply is 62, want 78"},
	}
}

func TestUDPVerdicts(t *testing.T) {
	for _, tt := range udpVerdicts() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := networkCheck(model.UDPCheck, serveUDP(t, tt.answer))
			c.UDP = &tt.spec
			if tt.short {
				c.ConnectTimeout = impatient
			}
			expect(t, NewCheckers(CheckersOptions{}), c, tt.want)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		expect(t, NewCheckers(CheckersOptions{}), networkCheck(model.UDPCheck, refusedPort(t)), "connection refused")
	})
}

func TestJudgeUDP(t *testing.T) {
	tests := []struct {
		name string
		spec model.UDPSpec
		data string
		want string
	}{
		{"lengths do not count without a pattern", model.UDPSpec{RequireReply: true, MinReply: 5, MaxReply: 6}, "x", ""},
		{"short", model.UDPSpec{RequireReply: true, Reply: []byte("a"), MinReply: 2, MaxReply: 3}, "a", "reply of 1 bytes, want 2 to 3"},
		{"long", model.UDPSpec{RequireReply: true, Reply: []byte("a"), MaxReply: 3}, "aaaa", "reply of 4 bytes, want 0 to 3"},
		{"longer than the pattern", model.UDPSpec{RequireReply: true, Reply: []byte("a"), MaxReply: 9}, "abc", ""},
		{"shorter than the pattern", model.UDPSpec{RequireReply: true, Reply: []byte("abc"), MaxReply: 9}, "ab", ""},
		{"nothing", model.UDPSpec{RequireReply: true, Reply: []byte("abc"), MaxReply: 9}, "", ""},
		{"half a byte is ignored", model.UDPSpec{RequireReply: true, Reply: []byte{0x10}, ReplyIgnore: []byte{0x0f}, MaxReply: 9}, "\x1f", ""},
		{"the other half is not", model.UDPSpec{RequireReply: true, Reply: []byte{0x10}, ReplyIgnore: []byte{0x0f}, MaxReply: 9}, "\x2f", "byte 0 of the reply is 2f, want 1X"},
		{"ignored first half", model.UDPSpec{RequireReply: true, Reply: []byte{0x05}, ReplyIgnore: []byte{0xf0}, MaxReply: 9}, "\x24", "byte 0 of the reply is 24, want X5"},
		{"a short mask", model.UDPSpec{RequireReply: true, Reply: []byte("ab"), ReplyIgnore: []byte{0xff}, MaxReply: 9}, "xc", "byte 1 of the reply is 63, want 62"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := judgeUDP(tt.spec, []byte(tt.data)); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestUDPPayload(t *testing.T) {
	for _, payload := range [][]byte{nil, {0, 0xff}} {
		heard := make(chan []byte, 1)
		c := networkCheck(model.UDPCheck, serveUDP(t, func(q []byte) [][]byte {
			heard <- bytes.Clone(q)
			return [][]byte{{1}}
		}))
		c.UDP = &model.UDPSpec{Payload: payload, RequireReply: true}
		expect(t, NewCheckers(CheckersOptions{}), c, "")
		if got := <-heard; payload == nil && len(got) == 0 || payload != nil && !bytes.Equal(got, payload) {
			t.Errorf("sent %x for payload %x", got, payload)
		}
	}
}

// The kernel is asked to report unreachable hosts, too.
func TestUDPReportsErrors(t *testing.T) {
	for to, option := range map[string][2]int{
		"127.0.0.1:9": {unix.IPPROTO_IP, unix.IP_RECVERR},
		"[::1]:9":     {unix.IPPROTO_IPV6, unix.IPV6_RECVERR},
	} {
		conn, err := dial(t.Context(), "udp", networkCheck(model.UDPCheck, netip.MustParseAddrPort(to)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		raw, err := conn.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var value int
		if ctlErr := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), option[0], option[1]) }); ctlErr != nil || err != nil || value != 1 {
			t.Errorf("%s: option is %d (%v, %v), want 1", to, value, err, ctlErr)
		}
	}
}

func TestUDPEvidence(t *testing.T) {
	c := networkCheck(model.UDPCheck, serveUDP(t, func([]byte) [][]byte { return [][]byte{bytes.Repeat([]byte{0x1b}, 200)} }))
	c.UDP = &model.UDPSpec{Payload: []byte{1}, RequireReply: true, Reply: []byte{1}, MaxReply: 255}
	a := NewCheckers(CheckersOptions{}).Examine(t.Context(), c)
	if a.Sent != "01" || a.Received != string(bytes.Repeat([]byte("1b"), 64))+"... (200 bytes)" {
		t.Errorf("sent %q, received %q", a.Sent, a.Received)
	}
}
