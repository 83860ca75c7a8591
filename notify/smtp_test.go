package notify

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mailServer is a mail server in the test. It answers as told and keeps what it
// heard.
type mailServer struct {
	// answers maps the beginning of a line, or greeting and text, to a reply
	// instead of the usual one. "silence" sends none and "close" closes.
	answers map[string]string

	mu    sync.Mutex // guards heard
	heard []string
	conns sync.WaitGroup
}

// dial is a Dial that reaches the server.
func (s *mailServer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.conns.Go(func() { s.serve(server) })
	return client, nil
}

func (s *mailServer) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	if !s.answer(conn, "greeting", "220 ready") {
		return
	}
	var text strings.Builder
	inText := false
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		what, usual := line, "250 ok"
		switch {
		case inText && line == ".\r\n":
			inText = false
			s.note(text.String())
			what = "text"
		case inText:
			text.WriteString(line)
			continue
		case strings.HasPrefix(line, "DATA"):
			inText = true
			usual = "354 go on"
		case strings.HasPrefix(line, "QUIT"):
			usual = "221 bye"
		}
		if what != "text" {
			s.note(line)
		}
		if !s.answer(conn, what, usual) {
			return
		}
		inText = inText && s.answers["DATA"] == ""
	}
}

func (s *mailServer) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, line)
}

// answer reports whether the conversation goes on.
func (s *mailServer) answer(conn net.Conn, what, usual string) bool {
	reply := usual
	for begin, r := range s.answers {
		if strings.HasPrefix(what, begin) {
			reply = r
		}
	}
	switch reply {
	case "silence":
		_, _ = io.Copy(io.Discard, conn)
		return false
	case "close":
		return false
	}
	_, err := io.WriteString(conn, reply+"\r\n")
	return err == nil
}

func mailOptions(s *mailServer) MailOptions {
	return MailOptions{
		Server: "mail.example.org:25", RouterID: "ROUTER1", From: "ka@example.net",
		To: []string{"a@example.org", "Bob B <b@example.org>"}, HELO: "lb1.example.org",
		Timeout: 30 * time.Second, Dial: s.dial,
	}
}

// TestDeliver compares the conversation with the one that keepalived 2.2.7 was
// seen to have, but for X-Mailer and the text. Time in a bubble begins in 2000.
func TestDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mailServer{}
		m := Message{Subject: "VRRP Instance VI_1 - Entering MASTER state", Body: "one\n.\n..two\n\nend"}
		if err := deliver(t.Context(), mailOptions(s), m); err != nil {
			t.Fatal(err)
		}
		s.conns.Wait()
		want := []string{
			"HELO lb1.example.org\r\n",
			"MAIL FROM:<ka@example.net>\r\n",
			"RCPT TO:<a@example.org>\r\n",
			"RCPT TO:<b@example.org>\r\n",
			"DATA\r\n",
			"Date: Sat, 01 Jan 2000 00:00:00 +0000\r\n" +
				"From: ka@example.net\r\n" +
				"Subject: [ROUTER1] VRRP Instance VI_1 - Entering MASTER state\r\n" +
				"X-Mailer: Evenkeel\r\n" +
				"To: a@example.org, \"Bob B\" <b@example.org>\r\n" +
				"\r\n" +
				"one\r\n..\r\n...two\r\n\r\nend\r\n",
			"QUIT\r\n",
		}
		if diff := cmp.Diff(want, s.heard); diff != "" {
			t.Errorf("conversation (-want +got):\n%s", diff)
		}
	})
}

func TestDeliverErrors(t *testing.T) {
	tests := []struct {
		name    string
		answers map[string]string
		want    string
		// took is the time until a silent server is given up.
		took time.Duration
	}{
		{"greeting", map[string]string{"greeting": "554 no"}, "greeting: 554 \"no\"", 0},
		{"no greeting", map[string]string{"greeting": "silence"}, "greeting: no reply within 30s: i/o timeout", 30 * time.Second},
		{"closed", map[string]string{"greeting": "close"}, "greeting: the server closed the connection", 0},
		{"HELO", map[string]string{"HELO": "502-what\r\n502 ever"}, "HELO lb1.example.org: 502 \"what\\never\"", 0},
		{"sender", map[string]string{"MAIL": "550 no"}, "MAIL FROM:<ka@example.net>: 550 \"no\"", 0},
		{"one recipient", map[string]string{"RCPT TO:<a": "550 who"}, "RCPT TO:<a@example.org>: 550 \"who\"", 0},
		{"all recipients", map[string]string{"RCPT": "550 who"},
			"no recipient was accepted\nRCPT TO:<a@example.org>: 550 \"who\"\nRCPT TO:<b@example.org>: 550 \"who\"", 0},
		{"forwarded recipient", map[string]string{"RCPT": "251 will forward"}, "", 0},
		{"silent recipient", map[string]string{"RCPT": "silence"},
			"RCPT TO:<a@example.org>: no reply within 30s: i/o timeout", 30 * time.Second},
		{"DATA", map[string]string{"DATA": "451 later"}, "DATA: 451 \"later\"", 0},
		{"text", map[string]string{"text": "552 too long"}, "text: 552 \"too long\"", 0},
		{"silence after the text", map[string]string{"text": "silence"}, "text: no reply within 30s: i/o timeout", 30 * time.Second},
		{"QUIT does not matter", map[string]string{"QUIT": "500 what"}, "", 0},
		{"endless reply", map[string]string{"greeting": strings.Repeat("220-x\r\n", maxReplies) + "220 x"},
			"greeting: the server closed the connection", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &mailServer{answers: tt.answers}
				began := time.Now()
				err := deliver(t.Context(), mailOptions(s), Message{Subject: "s", Body: "b"})
				want := ""
				if tt.want != "" {
					want = "send mail by mail.example.org:25: " + tt.want
				}
				got := ""
				if err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("deliver = %q, want %q", got, want)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				s.conns.Wait()
			})
		})
	}
}

func TestDeliverNotConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := mailOptions(nil)
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		err := deliver(t.Context(), o, Message{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != o.Timeout {
			t.Errorf("deliver = %v after %v, want a time-out after %v", err, time.Since(began), o.Timeout)
		}
	})
}

func TestCompose(t *testing.T) {
	o := MailOptions{RouterID: "R", From: "a@b", To: []string{"c@d"}}
	at := time.Date(2026, 11, 21, 9, 24, 4, 0, time.FixedZone("", 3600))
	const head = "Date: Sat, 21 Nov 2026 09:24:04 +0100\nFrom: a@b\n"
	tests := []struct {
		name string
		m    Message
		want string
	}{
		{"plain", Message{"s", "b\n"}, "Subject: [R] s\nX-Mailer: Evenkeel\nTo: c@d\n\nb\n"},
		{"no second field", Message{"s\r\nBcc: x@y\x00", "b"}, "Subject: [R] s  Bcc: x@y \nX-Mailer: Evenkeel\nTo: c@d\n\nb"},
		{"other letters", Message{"é", "é"}, "Subject: =?utf-8?q?[R]_=C3=A9?=\nX-Mailer: Evenkeel\nTo: c@d\n" +
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\né"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(head+tt.want, compose(o, tt.m, at)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestMailbox(t *testing.T) {
	for in, want := range map[string]string{
		"a@b": "a@b", "<a@b>": "a@b", "Name <a@b>": "a@b", `"N, M" <a@b>`: "a@b", "root": "root", " <root> ": "root",
		"a@b\r\nDATA": "a@b  DATA",
	} {
		if got := mailbox(in); got != want {
			t.Errorf("mailbox(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"a@b": "a@b", "Name <a@b>": `"Name" <a@b>`, "root": "root", "a\nb": "a b", "É <a@b>": "=?utf-8?q?=C3=89?= <a@b>",
	} {
		if got := address(in); got != want {
			t.Errorf("address(%q) = %q, want %q", in, got, want)
		}
	}
}
