package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/model/pcre"
)

// longestWaits bounds an exchange by HTTP or SMTP, in connect_timeouts:
// keepalived bounds each wait only, so that a server which sends a byte now and
// then could keep a check for ever.
const longestWaits = 10

// http makes one try of HTTP_GET or SSL_GET: one url on a connection of its
// own. keepalived reads until the server closes, so a server that never does
// fails by its silence, and so it does here.
func (k *Checkers) http(ctx context.Context, c model.Check) Answer {
	if c.HTTP == nil || len(c.HTTP.URLs) == 0 {
		return Answer{Err: notTried("the check has no url")}
	}
	pattern, err := k.patterns.get(c.HTTP.URLs[0].Regex)
	if err != nil {
		return Answer{Err: err}
	}
	began := time.Now()
	conn, err := dial(ctx, "tcp", c)
	if err != nil {
		return unconnected(err)
	}
	defer conn.Close()
	defer closeAt(ctx, conn)()
	return k.get(ctx, conn, began, c, pattern)
}

// get asks for the url of a check on a connection that was begun at began.
func (k *Checkers) get(ctx context.Context, raw net.Conn, began time.Time, c model.Check, pattern *pcre.Pattern) Answer {
	url := c.HTTP.URLs[0]
	conn := &timedConn{Conn: raw, each: c.ConnectTimeout, end: began.Add(longestWaits * c.ConnectTimeout)}
	stream := net.Conn(conn)
	if c.Kind == model.SSLGet {
		secured, err := k.handshake(ctx, conn, began, c, url)
		if err != nil {
			return Answer{Err: err, Sent: helloText(c, url)}
		}
		stream = secured
		if url.TLSCompliant {
			defer secured.Close()
		}
	}
	request := httpRequest(c, url)
	answer := Answer{Sent: excerpt(request)}
	if _, err := stream.Write(request); err != nil {
		answer.Err = fmt.Errorf("send the request: %w", httpCause(err, c, 0))
		return answer
	}
	// keepalived bounds each wait of HTTP_GET, but all of the answer together
	// of SSL_GET.
	conn.endEarly = c.Kind == model.SSLGet
	response, err := readResponse(stream, reading{digest: url.Digest != "", pattern: pattern, lax: c.Kind == model.SSLGet})
	answer.Received = excerpt(response.first)
	answer.Err = httpCause(err, c, response.received)
	if err == nil {
		answer.Digest = response.sum()
		answer.Err = response.judge(url, pattern)
	}
	return answer
}

// httpRequest returns keepalived's request, byte for byte.
func httpRequest(c model.Check, url model.URL) []byte {
	version, connection := "1.0", ""
	switch c.HTTP.Protocol {
	case model.HTTP11:
		version, connection = "1.1", "Connection: close\r\n"
	case model.HTTP10C:
		connection = "Connection: close\r\n"
	case model.HTTP10:
	}
	host := url.VirtualHost
	if host == "" {
		host = c.ConnectTo.String()
	}
	return fmt.Appendf(nil, "GET %s HTTP/%s\r\nUser-Agent: KeepAliveClient\r\n%sHost: %s\r\n\r\n", url.Path, version, connection, host)
}

// httpCause puts an error of a connection in words. received counts the bytes
// that came before it.
func httpCause(err error, c model.Check, received int64) error {
	switch {
	case err == nil:
		return nil
	case os.IsTimeout(err) && received == 0:
		return fmt.Errorf("no answer in %s", c.ConnectTimeout)
	case os.IsTimeout(err):
		return fmt.Errorf("timed out after %d bytes: the server neither went on nor closed", received)
	}
	if _, ok := errors.AsType[*responseError](err); ok {
		return err
	}
	return fmt.Errorf("%s after %d bytes", tlsCause(err), received)
}

// handshake begins TLS on conn. Connecting and it share one connect_timeout.
func (k *Checkers) handshake(ctx context.Context, conn net.Conn, began time.Time, c model.Check, url model.URL) (*tls.Conn, error) {
	config, err := k.tlsConfig(c, url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(c.ConnectTimeout))
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		if os.IsTimeout(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("no TLS handshake in %s", c.ConnectTimeout)
		}
		return nil, fmt.Errorf("TLS handshake: %s", tlsCause(err))
	}
	return secured, nil
}

// helloText describes what a failed handshake began with.
func helloText(c model.Check, url model.URL) string {
	if name := serverName(c, url); name != "" {
		return "TLS client hello, server name " + name
	}
	return "TLS client hello"
}

func tlsCause(err error) string {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "closed by the server"
	}
	return strings.ReplaceAll(cause(err), "tls: ", "")
}
