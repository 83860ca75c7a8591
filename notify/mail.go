package notify

import (
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"
	"unicode"
)

// Message is a mail to send.
type Message struct {
	// Subject goes after the name of the router.
	Subject string
	// Body is plain text with line feeds.
	Body string
}

// compose returns the mail in the form of RFC 5322 with line feeds; the client
// makes CRLF of them. The header fields are keepalived's.
func compose(o MailOptions, m Message, now time.Time) string {
	var b strings.Builder
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\n", name, value) }
	field("Date", now.Format(time.RFC1123Z))
	field("From", address(o.From))
	field("Subject", mime.QEncoding.Encode("utf-8", oneLine("["+o.RouterID+"] "+m.Subject)))
	field("X-Mailer", "Evenkeel")
	to := make([]string, len(o.To))
	for i, a := range o.To {
		to[i] = address(a)
	}
	field("To", strings.Join(to, ", "))
	if strings.ContainsFunc(m.Body, func(r rune) bool { return r > unicode.MaxASCII }) {
		field("MIME-Version", "1.0")
		field("Content-Type", "text/plain; charset=utf-8")
		field("Content-Transfer-Encoding", "8bit")
	}
	b.WriteString("\n")
	b.WriteString(m.Body)
	return b.String()
}

// oneLine keeps a value from ending its header field or command.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// address returns a configured address for a header field.
func address(s string) string {
	if a, err := mail.ParseAddress(s); err == nil && a.Name != "" {
		return a.String()
	}
	return oneLine(s)
}

// mailbox returns the bare address of a configured one, for the envelope.
func mailbox(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.Address
	}
	return strings.Trim(oneLine(s), "<> ")
}
