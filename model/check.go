package model

import (
	"net/netip"
	"reflect"
	"time"
)

// CheckKind is a checker's keyword.
type CheckKind string

// The checkers. BFDCheck is known and does not run yet.
const (
	TCPCheck  CheckKind = "TCP_CHECK"
	HTTPGet   CheckKind = "HTTP_GET"
	SSLGet    CheckKind = "SSL_GET"
	SMTPCheck CheckKind = "SMTP_CHECK"
	DNSCheck  CheckKind = "DNS_CHECK"
	UDPCheck  CheckKind = "UDP_CHECK"
	PingCheck CheckKind = "PING_CHECK"
	MiscCheck CheckKind = "MISC_CHECK"
	FileCheck CheckKind = "FILE_CHECK"
	BFDCheck  CheckKind = "BFD_CHECK"
)

// Check is one checker of a real server with all inheritance applied.
// Durations and counts are keepalived's keywords of the same name.
type Check struct {
	Kind CheckKind
	Pos  Position
	// ConnectTo is connect_ip and connect_port, by default the real server.
	// It is unset for MISC_CHECK, FILE_CHECK and BFD_CHECK, and PING_CHECK
	// does not use its port.
	ConnectTo netip.AddrPort
	// BindTo is bindto and bind_port; an invalid address binds nothing and
	// port 0 lets the kernel choose.
	BindTo netip.AddrPort
	// BindInterface is bind_if; empty binds to none.
	BindInterface string
	// FWMark is put on the check's packets when it is not zero.
	FWMark uint32
	// ConnectTimeout bounds one try, default 5 s. Where a try has several
	// exchanges (HTTP_GET, SSL_GET, SMTP_CHECK) it bounds each wait.
	ConnectTimeout time.Duration
	// DelayLoop is the period, default 60 s. FILE_CHECK has none in
	// keepalived: a change of the file is acted on at once, and the file is
	// looked at each DelayLoop besides.
	DelayLoop time.Duration
	// Retry is the number of further tries after a failure, default 1, for
	// MISC_CHECK and FILE_CHECK 0, for DNS_CHECK 3.
	Retry uint32
	// DelayBeforeRetry is the pause between those tries, default 1 s, for
	// HTTP_GET and SSL_GET 3 s, for DNS_CHECK DelayLoop.
	DelayBeforeRetry time.Duration
	// Warmup bounds the random delay before the first run, default DelayLoop.
	Warmup time.Duration
	// Alpha starts the check as failed. FILE_CHECK never has it.
	Alpha bool
	// LogAllFailures logs each failed try, not only the last.
	LogAllFailures bool

	// What only some kinds have; nil for all others.

	HTTP *HTTPSpec // HTTP_GET and SSL_GET
	SMTP *SMTPSpec // SMTP_CHECK
	DNS  *DNSSpec  // DNS_CHECK
	UDP  *UDPSpec  // UDP_CHECK
	Misc *MiscSpec // MISC_CHECK
	File *FileSpec // FILE_CHECK
	BFD  *BFDSpec  // BFD_CHECK
}

// Equal reports whether both checks do the same in the same way. Where they
// are configured does not count.
func (c Check) Equal(o Check) bool {
	c.Pos, o.Pos = Position{}, Position{}
	if c == o { // as always where no kind has more to say
		return true
	}
	if (c.Misc == nil) != (o.Misc == nil) {
		return false
	}
	if c.Misc != nil {
		if c.Misc.Dynamic != o.Misc.Dynamic || !c.Misc.Script.Equal(o.Misc.Script) {
			return false
		}
		c.Misc, o.Misc = nil, nil
	}
	return reflect.DeepEqual(c, o)
}

// HTTPProtocol is the http_protocol keyword.
type HTTPProtocol string

// The protocols. HTTP10C is 1.0 with the line Connection: close, which 1.1
// always has.
const (
	HTTP10  HTTPProtocol = "1.0"
	HTTP10C HTTPProtocol = "1.0C"
	HTTP11  HTTPProtocol = "1.1"
)

// HTTPSpec is what HTTP_GET and SSL_GET have of their own.
type HTTPSpec struct {
	// URLs are the url blocks in order, at least one.
	URLs []URL
	// Protocol is http_protocol, default HTTP10, which the empty one means
	// too.
	Protocol HTTPProtocol
	// FastRecovery is fast_recovery: no pause between the urls while the
	// check is on its way up.
	FastRecovery bool

	// What follows only counts for SSL_GET.

	// EnableSNI is enable_sni, which sni_name sets too: send SNIName, or the
	// url's VirtualHost where it is empty.
	EnableSNI bool
	SNIName   string
	// VerifyServer refuses a server certificate that is expired or that TLS.CA
	// (or, without it, the system) does not vouch for. keepalived never
	// verifies; the default is off.
	VerifyServer bool
	// TLS is the SSL block, shared by all SSL_GETs; nil for none.
	TLS *ClientTLS
}

// URL is one url block.
type URL struct {
	// Path is what is asked for, such as /health?full=1.
	Path string
	// VirtualHost is sent as Host: that of the url, else of the checker, the
	// real server or the virtual server. Empty sends address and port.
	VirtualHost string
	// Digest is the MD5 of the body in hex, upper or lower case; empty does
	// not compare.
	Digest string
	// StatusCodes are the answers that pass; none stands for 200-299.
	StatusCodes []CodeRange
	// Regex is the regex of the body and what belongs to it, or nil.
	Regex *Regex
	// TLSCompliant is tls_compliant of the url or of the checker (SSL_GET):
	// end the connection with a close_notify.
	TLSCompliant bool
}

// CodeRange is a range of HTTP status codes, both ends included.
type CodeRange struct{ First, Last uint16 }

// Regex is regex with its sibling keywords.
type Regex struct {
	// Pattern is in the syntax of PCRE2. Package model/pcre says whether it
	// can run.
	Pattern string
	// Options are the words of regex_options.
	Options []string
	// NoMatch is regex_no_match: a match fails the check.
	NoMatch bool
	// MinOffset and MaxOffset bound where in the body a match may begin, in
	// bytes, both included; a nil MaxOffset is no bound.
	MinOffset uint32
	MaxOffset *uint32
	// StackStart and StackMax are regex_stack. Nothing here needs them.
	StackStart, StackMax uint32
}

// ClientTLS is the SSL block: files with a client certificate (PEM, with its
// chain), its key and the authorities to trust, and the key's password. Each
// may be empty.
type ClientTLS struct {
	Certificate, Key, CA, Password string
}

// SMTPSpec is what SMTP_CHECK has of its own. Each host block is a Check of
// its own, as in keepalived.
type SMTPSpec struct {
	// HeloName is helo_name, default DefaultHeloName.
	HeloName string
}

// DefaultHeloName is what keepalived says in HELO.
const DefaultHeloName = "smtpchecker.keepalived.org"

// DNSSpec is what DNS_CHECK has of its own.
type DNSSpec struct {
	// Type is the query type, one of DNSTypes, default SOA.
	Type string
	// Name is the name to ask for, with or without the last dot, default the
	// root.
	Name string
}

// DNSTypes are the query types that DNS_CHECK knows.
func DNSTypes() []string {
	return []string{"A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"}
}

// UDPSpec is what UDP_CHECK has of its own.
type UDPSpec struct {
	// Payload is what is sent; none sends a text of this program's.
	Payload []byte
	// RequireReply is require_reply: without it silence passes.
	RequireReply bool
	// Reply is compared with the start of what is received, as far as both
	// go, leaving out the bits that are set in ReplyIgnore. None compares
	// nothing; ReplyIgnore may be shorter than Reply.
	Reply, ReplyIgnore []byte
	// MinReply and MaxReply bound the length of what is received, in bytes,
	// where there is a Reply; 0 and 255 by default.
	MinReply, MaxReply uint16
}

// MiscSpec is what MISC_CHECK has of its own.
type MiscSpec struct {
	// Script is misc_path and user; its Timeout is misc_timeout, default the
	// virtual server's delay_loop.
	Script Script
	// Dynamic is misc_dynamic: exit statuses 2 to 255 pass and make the
	// weight the status less 2.
	Dynamic bool
}

// FileSpec is what FILE_CHECK has of its own.
type FileSpec struct {
	// TrackFile is the name of a track_file.
	TrackFile string
	// Weight multiplies the value in the file, by default that of the
	// track_file. 0 fails the check while the value is not 0.
	Weight int32
	// Reverse turns the sign of the weight around; with weight 0, the value 0
	// fails the check.
	Reverse bool
}

// BFDSpec is what BFD_CHECK has of its own.
type BFDSpec struct {
	// Name is the name of a bfd_instance.
	Name string
}
