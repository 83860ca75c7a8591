package health

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/evenkeel/evenkeel/model"
)

// answerDNS turns a query into its answer with an rcode.
func answerDNS(query []byte, rcode byte) []byte {
	answer := slices.Clone(query)
	answer[2] |= 0x80
	answer[3] = rcode
	return answer
}

// udpVerdict is a server of datagrams and what a check is to say of it.
type udpVerdict struct {
	name   string
	answer func(query []byte) [][]byte
	spec   model.UDPSpec
	short  bool
	want   string
}

func dnsVerdicts() []udpVerdict {
	return []udpVerdict{
		{name: "ok", answer: func(q []byte) [][]byte { return [][]byte{answerDNS(q, 0)} }},
		{name: "cut short", answer: func(q []byte) [][]byte { a := answerDNS(q, 0); a[2] |= 2; return [][]byte{a[:12]} }},
		{name: "servfail", answer: func(q []byte) [][]byte { return [][]byte{answerDNS(q, 2)} }, want: "server answered SERVFAIL"},
		{name: "nxdomain", answer: func(q []byte) [][]byte { return [][]byte{answerDNS(q, 3)} }, want: "server answered NXDOMAIN"},
		{name: "refused", answer: func(q []byte) [][]byte { return [][]byte{answerDNS(q, 5)} }, want: "server answered REFUSED"},
		{name: "unknown", answer: func(q []byte) [][]byte { return [][]byte{answerDNS(q, 15)} }, want: "server answered rcode 15"},
		{name: "what does not count comes first", answer: func(q []byte) [][]byte {
			other := answerDNS(q, 2)
			other[0] ^= 1
			return [][]byte{other, q, {1, 2, 3}, {}, answerDNS(q, 0)}
		}},
		{name: "another id only", short: true, want: "no answer in 400ms", answer: func(q []byte) [][]byte {
			other := answerDNS(q, 0)
			other[1] ^= 1
			return [][]byte{other}
		}},
		{name: "the query comes back", short: true, want: "no answer in 400ms", answer: func(q []byte) [][]byte { return [][]byte{q} }},
		{name: "silent", short: true, want: "no answer in 400ms", answer: func([]byte) [][]byte { return nil }},
	}
}

func TestDNSVerdicts(t *testing.T) {
	for _, tt := range dnsVerdicts() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := networkCheck(model.DNSCheck, serveUDP(t, tt.answer))
			if tt.short {
				c.ConnectTimeout = impatient
			}
			expect(t, NewCheckers(CheckersOptions{}), c, tt.want)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		expect(t, NewCheckers(CheckersOptions{}), networkCheck(model.DNSCheck, refusedPort(t)), "connection refused")
	})
}

func TestDNSEvidence(t *testing.T) {
	c := networkCheck(model.DNSCheck, serveUDP(t, func(q []byte) [][]byte { return [][]byte{answerDNS(q, 2)} }))
	c.DNS = &model.DNSSpec{Type: "mx", Name: "example.org"}
	a := NewCheckers(CheckersOptions{}).Examine(t.Context(), c)
	if !strings.HasPrefix(a.Sent, "MX example.org., id ") || !strings.Contains(a.Received, "SERVFAIL") {
		t.Errorf("sent %q, received %q", a.Sent, a.Received)
	}
}

// The query on the wire: keepalived's flags, one question, no extensions.
func TestDNSQuery(t *testing.T) {
	root := "0007" + "0100" + "0001" + "0000" + "0000" + "0000" + "00"
	tests := []struct{ kind, name, want string }{
		{"", "", root + "0006" + "0001"},
		{"SOA", ".", root + "0006" + "0001"},
		{"A", "a.bc", "0007" + "0100" + "0001" + "0000" + "0000" + "0000" + "0161" + "026263" + "00" + "0001" + "0001"},
		{"NS", "a.bc.", "0007" + "0100" + "0001" + "0000" + "0000" + "0000" + "0161" + "026263" + "00" + "0002" + "0001"},
	}
	for _, tt := range tests {
		query, err := dnsQuery(model.DNSSpec{Type: tt.kind, Name: tt.name}, 7)
		if err != nil || hex.EncodeToString(query) != tt.want {
			t.Errorf("%s %q: %x, %v; want %s", tt.kind, tt.name, query, err, tt.want)
		}
	}
	numbers := map[string]uint16{"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "DNSKEY": 48}
	for _, kind := range model.DNSTypes() {
		query, err := dnsQuery(model.DNSSpec{Type: kind}, 7)
		if err != nil || binary.BigEndian.Uint16(query[13:]) != numbers[kind] {
			t.Errorf("%s: %x, %v; want type %d", kind, query, err, numbers[kind])
		}
	}
	for _, bad := range []model.DNSSpec{
		{Type: "PTR"}, {Name: strings.Repeat("a", 64)}, {Name: "a..b"}, {Name: strings.Repeat("a.", 200)},
	} {
		if query, err := dnsQuery(bad, 7); err == nil {
			t.Errorf("%+v: %x, want an error", bad, query)
		}
	}
}

func TestJudgeDNSIgnoresWhatIsNoAnswer(t *testing.T) {
	for _, data := range [][]byte{nil, {0}, make([]byte, 11), make([]byte, 12)} {
		if ours, err := judgeDNS(data, 0); ours || err != nil {
			t.Errorf("%x counts as an answer (%v)", data, err)
		}
	}
	if got := rcodeText(dnsmessage.RCode(10)); got != "NOTZONE" {
		t.Errorf("rcode 10 is %s, want NOTZONE", got)
	}
}
