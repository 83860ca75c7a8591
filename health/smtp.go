package health

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// The bounds of a server's reply. RFC 5321 allows lines of 512 bytes.
const (
	longestLine = 2 << 10
	mostLines   = 100
)

// smtp makes one try of SMTP_CHECK: banner, HELO, QUIT. What the server says
// to QUIT does not matter as long as it says something.
func smtp(ctx context.Context, c model.Check) Answer {
	began := time.Now()
	raw, err := dial(ctx, "tcp", c)
	if err != nil {
		return unconnected(err)
	}
	defer raw.Close()
	defer closeAt(ctx, raw)()
	name := model.DefaultHeloName
	if c.SMTP != nil && c.SMTP.HeloName != "" {
		name = c.SMTP.HeloName
	}
	conn := &timedConn{Conn: raw, each: c.ConnectTimeout, end: began.Add(longestWaits * c.ConnectTimeout)}
	talk := newSMTPTalk(conn)
	err = talk.hold(name)
	switch {
	case err == nil:
	case os.IsTimeout(err):
		err = fmt.Errorf("%s: no answer in %s", talk.stage, c.ConnectTimeout)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%s: closed by the server", talk.stage)
	default:
		err = fmt.Errorf("%s: %s", talk.stage, cause(err))
	}
	return Answer{Err: err, Sent: excerpt(talk.sent), Received: excerpt(talk.received)}
}

// smtpTalk is one conversation. sent and received are the last of each side.
type smtpTalk struct {
	out            io.Writer
	in             *bufio.Reader
	stage          string
	sent, received []byte
}

func newSMTPTalk(conn io.ReadWriter) *smtpTalk {
	return &smtpTalk{out: conn, in: bufio.NewReaderSize(conn, longestLine)}
}

func (t *smtpTalk) hold(name string) error {
	for _, s := range []struct{ stage, say, want string }{
		{"banner", "", "220"},
		{"HELO", "HELO " + name + "\r\n", "250"},
		{"QUIT", "QUIT\r\n", ""},
	} {
		t.stage, t.sent, t.received = s.stage, []byte(s.say), nil
		if s.say != "" {
			if _, err := t.out.Write(t.sent); err != nil {
				return err
			}
		}
		code, err := t.readReply()
		if err != nil {
			return err
		}
		if s.want != "" && code != s.want {
			return fmt.Errorf(`server said "%s", want %s`, excerpt(bytes.TrimRight(t.received, "\r\n")), s.want)
		}
	}
	return nil
}

// readReply reads one reply and returns its code, empty if it has none. It
// takes replies of several lines (250-); keepalived does not.
func (t *smtpTalk) readReply() (code string, err error) {
	for i := range mostLines {
		line, err := t.in.ReadSlice('\n')
		t.received = append(t.received, line...)
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", fmt.Errorf("no end of the line in %d bytes", len(line))
		}
		if err != nil {
			return "", err
		}
		own, last := replyCode(line)
		switch {
		case i > 0 && own != code:
			// RFC 5321 section 4.2.1: all lines have the same code.
			return "", nil
		case last:
			return own, nil
		}
		code = own
	}
	return "", fmt.Errorf("no end of the reply in %d lines", mostLines)
}

// replyCode returns the three digits that a line begins with, empty if it does
// not, and whether it is the last line of its reply.
func replyCode(line []byte) (code string, last bool) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return "", true
	}
	for _, d := range line[:3] {
		if d < '0' || d > '9' {
			return "", true
		}
	}
	return string(line[:3]), len(line) == 3 || line[3] == ' '
}
