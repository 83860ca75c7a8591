package health

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// mail is a server that says each of its lines after one of the client's, the
// first at once, and then closes. It sends what it heard to heard.
func mail(heard chan<- string, replies ...string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) {
		in := bufio.NewReader(conn)
		all := ""
		for i, reply := range replies {
			if i > 0 {
				line, err := in.ReadString('\n')
				all += line
				if err != nil {
					break
				}
			}
			if _, err := conn.Write([]byte(reply)); err != nil {
				break
			}
		}
		if heard != nil {
			heard <- all
		}
		// A close with something unread would reset the connection.
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}
}

func smtpVerdicts() []tcpVerdict {
	return []tcpVerdict{
		{name: "ok", handle: mail(nil, "220 mail ready\r\n", "250 hello\r\n", "221 bye\r\n")},
		{name: "bare codes", handle: mail(nil, "220\r\n", "250\r\n", "221\r\n")},
		{name: "line feeds only", handle: mail(nil, "220 mail\n", "250 hello\n", "221 bye\n")},
		{name: "several lines", handle: mail(nil, "220-mail\r\n220-no spam\r\n220 ready\r\n", "250-a\r\n250 b\r\n", "221 bye\r\n")},
		{name: "whatever to QUIT", handle: mail(nil, "220 mail\r\n", "250 hello\r\n", "what?\r\n")},
		{name: "banner", handle: mail(nil, "554 go away\r\n"), want: `banner: server said "554 go away", want 220`},
		{name: "HELO", handle: mail(nil, "220 mail\r\n", "550 no\x1b[31m\r\n"), want: `HELO: server said "550 no\x1b[31m", want 250`},
		{name: "two codes", handle: mail(nil, "554-no\r\n220 mail\r\n"), want: `banner: server said "554-no\r\n220 mail", want 220`},
		{name: "no code", handle: mail(nil, "hello\r\n"), want: `banner: server said "hello", want 220`},
		{name: "two digits", handle: mail(nil, "22 hello\r\n"), want: `banner: server said "22 hello", want 220`},
		{name: "closed at once", handle: mail(nil), want: "banner: closed by the server"},
		{name: "closed at HELO", handle: mail(nil, "220 mail\r\n"), want: "HELO: closed by the server"},
		{name: "closed at QUIT", handle: mail(nil, "220 mail\r\n", "250 hello\r\n"), want: "QUIT: closed by the server"},
		{name: "closed in a line", handle: mail(nil, "220 mail"), want: "banner: closed by the server"},
		{name: "endless line", handle: mail(nil, strings.Repeat("220 ", 1000)), want: "banner: no end of the line in 2048 bytes"},
		{name: "endless lines", handle: mail(nil, strings.Repeat("220-x\r\n", 1000)), want: "banner: no end of the reply in 100 lines"},
		{name: "silent", handle: func(_ net.Conn, stop <-chan struct{}) { <-stop }, short: true, want: "banner: no answer in 400ms"},
	}
}

func TestSMTPVerdicts(t *testing.T) {
	for _, tt := range smtpVerdicts() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := networkCheck(model.SMTPCheck, serve(t, tt.handle))
			if tt.short {
				c.ConnectTimeout = impatient
			}
			expect(t, NewCheckers(CheckersOptions{}), c, tt.want)
		})
	}
}

func TestSMTPSays(t *testing.T) {
	for name, want := range map[string]string{
		"":                "HELO smtpchecker.keepalived.org\r\nQUIT\r\n",
		"lb1.example.org": "HELO lb1.example.org\r\nQUIT\r\n",
	} {
		heard := make(chan string, 1)
		c := networkCheck(model.SMTPCheck, serve(t, mail(heard, "220 mail\r\n", "250 hello\r\n", "221 bye\r\n")))
		c.SMTP = &model.SMTPSpec{HeloName: name}
		expect(t, NewCheckers(CheckersOptions{}), c, "")
		if got := <-heard; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

func TestSMTPEvidence(t *testing.T) {
	c := networkCheck(model.SMTPCheck, serve(t, mail(nil, "220 mail\r\n", "550 no\r\n")))
	a := NewCheckers(CheckersOptions{}).Examine(t.Context(), c)
	if got, want := fmt.Sprint(a.Sent, " | ", a.Received), `HELO smtpchecker.keepalived.org\r\n | 550 no\r\n`; got != want {
		t.Errorf("evidence %s, want %s", got, want)
	}
}
