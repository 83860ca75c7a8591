package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/evenkeel/evenkeel/model"
)

// dns makes one try of DNS_CHECK. As in keepalived any answer without an error
// code passes, whatever is in it.
func dns(ctx context.Context, c model.Check) Answer {
	spec := model.DNSSpec{}
	if c.DNS != nil {
		spec = *c.DNS
	}
	id := uint16(rand.Uint32())
	query, err := dnsQuery(spec, id)
	if err != nil {
		return Answer{Err: err}
	}
	conn, err := dial(ctx, "udp", c)
	if err != nil {
		return Answer{Err: err}
	}
	defer conn.Close()
	defer closeAt(ctx, conn)()
	answer := Answer{Sent: fmt.Sprintf("%s %s, id %d", dnsType(spec), dnsName(spec), id)}
	exchange := newExchange(conn, c)
	if answer.Err = exchange.send(query); answer.Err != nil {
		return answer
	}
	for {
		data, err := exchange.receive()
		if err != nil {
			// What came and did not count is the best evidence of silence.
			answer.Err = err
			return answer
		}
		answer.Received = dnsText(data)
		ours, err := judgeDNS(data, id)
		if ours {
			answer.Err = err
			return answer
		}
	}
}

func dnsType(spec model.DNSSpec) string {
	if spec.Type == "" {
		return "SOA"
	}
	return strings.ToUpper(spec.Type)
}

func dnsName(spec model.DNSSpec) string {
	if !strings.HasSuffix(spec.Name, ".") {
		return spec.Name + "."
	}
	return spec.Name
}

// dnsTypeNumber returns the number of a query type, 0 for an unknown one.
func dnsTypeNumber(word string) dnsmessage.Type {
	switch word {
	case "A":
		return dnsmessage.TypeA
	case "NS":
		return dnsmessage.TypeNS
	case "CNAME":
		return dnsmessage.TypeCNAME
	case "SOA":
		return dnsmessage.TypeSOA
	case "MX":
		return dnsmessage.TypeMX
	case "TXT":
		return dnsmessage.TypeTXT
	case "AAAA":
		return dnsmessage.TypeAAAA
	case "RRSIG":
		return 46 // RFC 4034 section 3
	case "DNSKEY":
		return 48 // RFC 4034 section 2
	}
	return 0
}

// dnsQuery returns the query as keepalived sends it: recursion desired, class
// IN, no extensions. An error wraps ErrNotTried.
func dnsQuery(spec model.DNSSpec, id uint16) ([]byte, error) {
	number := dnsTypeNumber(dnsType(spec))
	if number == 0 {
		return nil, notTried("unknown query type %q", spec.Type)
	}
	name, err := dnsmessage.NewName(dnsName(spec))
	if err != nil {
		return nil, notTried("name %q: %v", spec.Name, err)
	}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: number, Class: dnsmessage.ClassINET}},
	}
	query, err := message.Pack()
	if err != nil {
		return nil, notTried("name %q: %v", spec.Name, err)
	}
	return query, nil
}

// judgeDNS reports whether a datagram is the answer to query id, and what is
// wrong with it. Anything else may come from elsewhere and is passed over.
func judgeDNS(data []byte, id uint16) (ours bool, err error) {
	var p dnsmessage.Parser
	header, err := p.Start(data)
	if err != nil || header.ID != id || !header.Response {
		return false, nil
	}
	if header.RCode != dnsmessage.RCodeSuccess {
		return true, errors.New("server answered " + rcodeText(header.RCode))
	}
	return true, nil
}

// rcodeText returns the name of RFC 1035 and 2136.
func rcodeText(code dnsmessage.RCode) string {
	names := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}
	if int(code) < len(names) {
		return names[code]
	}
	return fmt.Sprintf("rcode %d", code)
}

// dnsText describes a datagram by its header.
func dnsText(data []byte) string {
	var p dnsmessage.Parser
	header, err := p.Start(data)
	if err != nil {
		return hexExcerpt(data)
	}
	kind := "answer"
	if !header.Response {
		kind = "query"
	}
	return fmt.Sprintf("%s of %d bytes, id %d, %s", kind, len(data), header.ID, rcodeText(header.RCode))
}
