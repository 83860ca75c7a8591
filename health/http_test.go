package health

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/model/pcre"
)

func sumOf(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// tcpVerdict is a server and what a check is to say of it. The interop tier
// shows the same servers to keepalived.
type tcpVerdict struct {
	name   string
	handle func(net.Conn, <-chan struct{})
	url    model.URL
	change func(*model.Check)
	short  bool // do not wait long: the server is silent at some time
	want   string
}

func httpVerdicts() []tcpVerdict {
	long := strings.Repeat("x", 100_000)
	return []tcpVerdict{
		{name: "ok", handle: say("HTTP/1.0 200 OK\r\n\r\nhello")},
		{name: "no body", handle: say("HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n")},
		{name: "wrong status", handle: say("HTTP/1.0 503 No\r\n\r\n"), want: "status 503, want 200-299"},
		{name: "codes", handle: say("HTTP/1.0 404 No\r\n\r\n"), url: model.URL{StatusCodes: []model.CodeRange{{First: 200, Last: 200}, {First: 400, Last: 404}}}},
		{
			name: "not among the codes", handle: say("HTTP/1.0 200 OK\r\n\r\n"), url: model.URL{StatusCodes: []model.CodeRange{{First: 301, Last: 301}, {First: 400, Last: 404}}},
			want: "status 200, want 301 400-404",
		},
		{name: "no space behind the status", handle: say("HTTP/1.0 200\r\n\r\n"), want: "no HTTP status in the first line"},
		{name: "four digits", handle: say("HTTP/1.0 2000 OK\r\n\r\n"), want: "no HTTP status in the first line"},
		{name: "garbage", handle: say("\x00\x01 gar\x1b[31mbage\r\n\r\n"), want: "no HTTP status in the first line"},
		{name: "lines end by line feeds only", handle: say("HTTP/1.0 200 OK\n\n"), want: "closed by the server after 17 bytes, before the end of the header"},
		{name: "closed at once", handle: func(conn net.Conn, _ <-chan struct{}) { readRequest(conn) }, want: "closed by the server without an answer"},
		{name: "closed in the header", handle: say("HTTP/1.0 200 OK\r\nServ"), want: "closed by the server after 21 bytes, before the end of the header"},
		{name: "silent", handle: hold(""), short: true, want: "no answer in 400ms"},
		{name: "half a header", handle: hold("HTTP/1.0 200 OK\r\n"), short: true, want: "timed out after 17 bytes: the server neither went on nor closed"},
		{
			name: "never closes", handle: hold("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK"), short: true,
			want: "timed out after 40 bytes: the server neither went on nor closed",
		},
		{
			name: "endless header", want: "no end of the header in ",
			handle: func(conn net.Conn, _ <-chan struct{}) {
				readRequest(conn)
				for {
					if _, err := conn.Write([]byte("X-Header: " + long + "\r\n")); err != nil {
						return
					}
				}
			},
		},
		{
			name: "endless body", want: "no end of the body in ",
			handle: func(conn net.Conn, _ <-chan struct{}) {
				readRequest(conn)
				_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
				for {
					if _, err := conn.Write([]byte(long)); err != nil {
						return
					}
				}
			},
		},
		{name: "a large body", handle: say("HTTP/1.0 200 OK\r\n\r\n" + long), url: model.URL{Digest: sumOf(long)}},
		{name: "digest", handle: say("HTTP/1.0 200 OK\r\n\r\nhello"), url: model.URL{Digest: strings.ToUpper(sumOf("hello"))}},
		{
			name: "another digest", handle: say("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello"), url: model.URL{Digest: sumOf("Hello")},
			want: "digest " + sumOf("hello") + " of 5 bytes (Content-Length: 9), want " + sumOf("Hello"),
		},
		{
			name: "digest up to Content-Length", handle: say("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello world"),
			url: model.URL{Digest: sumOf("hello")},
		},
		{
			name: "status before digest", handle: say("HTTP/1.0 500 No\r\n\r\nx"), url: model.URL{Digest: sumOf("hello")},
			want: "status 500, want 200-299",
		},
		{name: "regex", handle: say("HTTP/1.0 200 OK\r\n\r\nstate: OK\n"), url: model.URL{Regex: &model.Regex{Pattern: `state: OK$`}}},
		{
			name: "regex of the body only", handle: say("HTTP/1.0 200 OK\r\nServer: nginx\r\n\r\nx"), url: model.URL{Regex: &model.Regex{Pattern: `nginx`}},
			want: `regex "nginx" does not match in 1 bytes`,
		},
		{
			name: "regex_no_match", handle: say("HTTP/1.0 200 OK\r\n\r\nmaintenance"), url: model.URL{Regex: &model.Regex{Pattern: "MAINT", Options: []string{"caseless"}, NoMatch: true}},
			want: `regex "MAINT" matches in 11 bytes`,
		},
		{
			name: "regex offsets", handle: say("HTTP/1.0 200 OK\r\n\r\nOK OK"), url: model.URL{Regex: &model.Regex{Pattern: "OK", MinOffset: 1, MaxOffset: new(uint32(2))}},
			want: `regex "OK" does not match in 5 bytes`,
		},
		{name: "regex behind much", handle: say("HTTP/1.0 200 OK\r\n\r\n" + long + "OK"), url: model.URL{Regex: &model.Regex{Pattern: "OK", MinOffset: 100_000}}},
		{
			name: "regex that cannot run", handle: say("HTTP/1.0 200 OK\r\n\r\nOK"), url: model.URL{Regex: &model.Regex{Pattern: "(?=OK)"}},
			want: `not tried: regex "(?=OK)": looking ahead by (?= cannot be used here`,
		},
	}
}

func TestHTTPVerdicts(t *testing.T) {
	for _, tt := range httpVerdicts() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := networkCheck(model.HTTPGet, serve(t, tt.handle))
			if tt.short {
				c.ConnectTimeout = impatient
			}
			tt.url.Path = "/"
			c.HTTP = &model.HTTPSpec{URLs: []model.URL{tt.url}}
			if strings.HasSuffix(tt.want, " in ") {
				if err := NewCheckers(CheckersOptions{}).Probe(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			expect(t, NewCheckers(CheckersOptions{}), c, tt.want)
		})
	}
}

// The request is keepalived's, byte for byte.
func TestHTTPRequest(t *testing.T) {
	tests := []struct {
		to       string
		protocol model.HTTPProtocol
		host     string
		want     string
	}{
		{"10.0.0.1:80", "", "", "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.0.1:80\r\n\r\n"},
		{"[2001:db8::1]:80", model.HTTP10, "", "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: [2001:db8::1]:80\r\n\r\n"},
		{"10.0.0.1:80", model.HTTP10C, "www", "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www\r\n\r\n"},
		{"10.0.0.1:80", model.HTTP11, "www:81", "GET /a HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www:81\r\n\r\n"},
	}
	for _, tt := range tests {
		c := networkCheck(model.HTTPGet, netip.MustParseAddrPort(tt.to))
		c.HTTP = &model.HTTPSpec{Protocol: tt.protocol}
		if got := string(httpRequest(c, model.URL{Path: "/a", VirtualHost: tt.host})); got != tt.want {
			t.Errorf("request %q, want %q", got, tt.want)
		}
	}
}

// A failure keeps what was sent and what came back, fit to be printed.
func TestHTTPEvidence(t *testing.T) {
	c := networkCheck(model.HTTPGet, serve(t, say("HTTP/1.0 500 \x1b[31mred\r\n\r\n"+strings.Repeat("long ", 1000))))
	c.HTTP = &model.HTTPSpec{URLs: []model.URL{{Path: "/p", VirtualHost: "h"}}}
	a := expect(t, NewCheckers(CheckersOptions{}), c, "status 500, want 200-299")
	if want := `GET /p HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: h\r\n\r\n`; a.Sent != want {
		t.Errorf("sent %q, want %q", a.Sent, want)
	}
	if want := `HTTP/1.0 500 \x1b[31mred\r\n\r\nlong `; !strings.HasPrefix(a.Received, want) || len(a.Received) > 2*excerptLength {
		t.Errorf("received %q, want it to begin with %q and to be short", a.Received, want)
	}
}

// A server that sends a byte now and then does not keep a check for ever; with
// endEarly it has one wait from its first byte on.
func TestTrickleEnds(t *testing.T) {
	for _, tt := range []struct {
		early bool
		want  time.Duration
	}{{false, 50 * time.Second}, {true, 9 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			var running sync.WaitGroup
			defer running.Wait()
			defer client.Close()
			running.Go(func() {
				defer server.Close()
				for {
					time.Sleep(4 * time.Second)
					if _, err := server.Write([]byte("x")); err != nil {
						return
					}
				}
			})
			began := time.Now()
			conn := &timedConn{Conn: client, each: 5 * time.Second, end: began.Add(50 * time.Second), endEarly: tt.early}
			_, err := readResponse(conn, reading{})
			if !os.IsTimeout(err) || time.Since(began) != tt.want {
				t.Errorf("ended with %v after %v, want a time-out after %v", err, time.Since(began), tt.want)
			}
		})
	}
}

func TestExcerpt(t *testing.T) {
	tests := []struct{ give, want string }{
		{"", ""},
		{"plain", "plain"},
		{"a\r\n\x00\"\xff", `a\r\n\x00\"\xff`},
		{strings.Repeat("a", excerptLength), strings.Repeat("a", excerptLength)},
		{strings.Repeat("a", excerptLength+1), strings.Repeat("a", excerptLength) + "..."},
		{strings.Repeat("a", excerptLength-1) + "äx", strings.Repeat("a", excerptLength-1) + "..."},
	}
	for _, tt := range tests {
		if got := excerpt([]byte(tt.give)); got != tt.want {
			t.Errorf("excerpt(%q) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

// However a response is cut into reads, it means the same.
func TestResponseInPieces(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nbody of 12 b and more"
	pattern, err := (&patterns{}).get(&model.Regex{Pattern: "12 b", MinOffset: 3})
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size <= len(text); size++ {
		r, err := readResponse(&pieces{text: text, size: size}, reading{digest: true, pattern: pattern})
		if err != nil {
			t.Fatalf("pieces of %d: %v", size, err)
		}
		got := fmt.Sprintf("%d %d %d %x %q", r.status, r.length, r.body, r.digest.Sum(nil), r.part)
		if want := fmt.Sprintf(`200 12 21 %s "dy of 12 b and more"`, sumOf("body of 12 b")); got != want {
			t.Fatalf("pieces of %d: %s, want %s", size, got, want)
		}
	}
}

// What a broken connection means: for SSL_GET an end like any other once the
// header is there, as in keepalived.
func TestResponseOfBrokenConnection(t *testing.T) {
	const head = "HTTP/1.0 200 OK\r\n\r\n"
	broken := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	tests := []struct {
		text string
		err  error
		lax  bool
		want string
	}{
		{head + "hel", broken, false, "connection reset by peer after 22 bytes"},
		{head + "hel", broken, true, ""},
		{head + "hel", io.ErrUnexpectedEOF, true, ""},
		{head[:9], broken, true, "connection reset by peer after 9 bytes"},
		{head[:9], io.ErrUnexpectedEOF, true, "closed by the server after 9 bytes"},
		{head, os.ErrDeadlineExceeded, true, "timed out after 19 bytes: the server neither went on nor closed"},
		{"", os.ErrDeadlineExceeded, false, "no answer in 10s"},
		{head, io.EOF, false, ""},
	}
	for _, tt := range tests {
		r, err := readResponse(&pieces{text: tt.text, size: 7, end: tt.err}, reading{lax: tt.lax})
		got := ""
		if err := httpCause(err, networkCheck(model.HTTPGet, netip.AddrPort{}), r.received); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q and then %v: %q, want %q", tt.text, tt.err, got, tt.want)
		}
	}
}

// pieces is a reader that returns so many bytes at a time and then an error,
// by default the end.
type pieces struct {
	text string
	size int
	end  error
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" && p.end != nil {
		return 0, p.end
	}
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(p.size, len(b))], p.text)
	p.text = p.text[n:]
	return n, nil
}

// Patterns that differ in anything are compiled apart, and each once.
func TestPatternsAreKept(t *testing.T) {
	var kept patterns
	seen := make(map[*pcre.Pattern]model.Regex)
	for _, r := range []model.Regex{
		{Pattern: "a"}, {Pattern: "b"}, {Pattern: "a", Options: []string{"caseless"}}, {Pattern: "a", MinOffset: 1},
		{Pattern: "a", MaxOffset: new(uint32(0))}, {Pattern: "a", MaxOffset: new(uint32(1))},
	} {
		first, err := kept.get(&r)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[first]; ok {
			t.Errorf("%+v and %+v are one pattern", r, other)
		}
		seen[first] = r
		if again, _ := kept.get(&r); again != first {
			t.Errorf("%+v was compiled twice", r)
		}
	}
}
