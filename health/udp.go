package health

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// exchange sends a datagram and receives what comes back, all within one
// connect_timeout.
type exchange struct {
	conn net.Conn
	c    model.Check
	end  time.Time
	buf  []byte
}

func newExchange(conn net.Conn, c model.Check) *exchange {
	return &exchange{conn: conn, c: c, end: time.Now().Add(c.ConnectTimeout), buf: make([]byte, 64<<10)}
}

func (x *exchange) send(data []byte) error {
	if err := x.conn.SetDeadline(x.end); err != nil {
		return err
	}
	if _, err := x.conn.Write(data); err != nil {
		return fmt.Errorf("send: %s", cause(err))
	}
	return nil
}

// receive returns the next datagram, which is valid until the next call. Its
// error is a silence for silence.
func (x *exchange) receive() ([]byte, error) {
	n, err := x.conn.Read(x.buf)
	switch {
	case err == nil:
		return x.buf[:n], nil
	case os.IsTimeout(err) && !errors.Is(err, syscall.ETIMEDOUT):
		return nil, &silence{fmt.Sprintf("no answer in %s", x.c.ConnectTimeout)}
	}
	return nil, errors.New(cause(err))
}

// silence is the error of an exchange to which nothing came back.
type silence struct{ text string }

func (e *silence) Error() string { return e.text }

// udp makes one try of UDP_CHECK. Without require_reply silence passes and only
// an ICMP error fails, so that a good try takes the whole connect_timeout.
func udp(ctx context.Context, c model.Check) Answer {
	spec := model.UDPSpec{}
	if c.UDP != nil {
		spec = *c.UDP
	}
	payload := spec.Payload
	if len(payload) == 0 {
		payload = []byte("evenkeel check - evenkeel check ")
	}
	conn, err := dial(ctx, "udp", c)
	if err != nil {
		return Answer{Err: err}
	}
	defer conn.Close()
	defer closeAt(ctx, conn)()
	answer := Answer{Sent: hexExcerpt(payload)}
	exchange := newExchange(conn, c)
	if answer.Err = exchange.send(payload); answer.Err != nil {
		return answer
	}
	data, err := exchange.receive()
	if err != nil {
		if _, silent := errors.AsType[*silence](err); silent && !spec.RequireReply {
			err = nil
		}
		answer.Err = err
		return answer
	}
	answer.Received = hexExcerpt(data)
	answer.Err = judgeUDP(spec, data)
	return answer
}

// judgeUDP says what is wrong with a reply. keepalived looks at its length
// only where there is something to compare it with.
func judgeUDP(spec model.UDPSpec, data []byte) error {
	if !spec.RequireReply || len(spec.Reply) == 0 {
		return nil
	}
	if len(data) < int(spec.MinReply) || len(data) > int(spec.MaxReply) {
		return fmt.Errorf("reply of %d bytes, want %d to %d", len(data), spec.MinReply, spec.MaxReply)
	}
	for i := range min(len(data), len(spec.Reply)) {
		ignore := byte(0)
		if i < len(spec.ReplyIgnore) {
			ignore = spec.ReplyIgnore[i]
		}
		if (data[i]^spec.Reply[i])&^ignore != 0 {
			return fmt.Errorf("byte %d of the reply is %02x, want %s", i, data[i], maskedHex(spec.Reply[i], ignore))
		}
	}
	return nil
}

// maskedHex spells a byte as require_reply does, with X for what is ignored.
func maskedHex(b, ignore byte) string {
	text := []byte(fmt.Sprintf("%02x", b))
	if ignore&0xf0 != 0 {
		text[0] = 'X'
	}
	if ignore&0x0f != 0 {
		text[1] = 'X'
	}
	return string(text)
}

// hexExcerpt returns the first bytes of binary data in hex.
func hexExcerpt(b []byte) string {
	if len(b) <= excerptLength/4 {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%s... (%d bytes)", hex.EncodeToString(b[:excerptLength/4]), len(b))
}
