package health

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/model/pcre"
)

// The bounds of a response. keepalived gives up on a header of 4 KiB and
// reads bodies of any length.
const (
	longestHead = 64 << 10
	longestBody = 64 << 20
	// longestSearch bounds the part of a body that a regex sees.
	longestSearch = 1 << 20
)

// responseError is a response that breaks a bound.
type responseError struct{ text string }

func (e *responseError) Error() string { return e.text }

// response is what a server sent, as far as a check looks at it.
type response struct {
	// first are the first bytes of all that came, received their number.
	first    []byte
	received int64
	// status is 0 where the first line has none.
	status int
	// length is Content-Length, or -1.
	length int64
	// whole is set when the header is complete.
	whole bool
	// body counts the bytes after the header. part are those that a regex is
	// to see, after skipped others and at most room.
	body    int64
	part    []byte
	skipped int
	room    int
	// digest is nil where none is wanted.
	digest hash.Hash
}

// reading says what is wanted of a response.
type reading struct {
	digest bool
	// pattern says which part of the body to keep; nil keeps none.
	pattern *pcre.Pattern
	// lax takes an error after the header for the end, as keepalived does for
	// SSL_GET: many servers close without a close_notify.
	lax bool
}

// readResponse reads until the server closes. On an error the response has
// what came before it.
func readResponse(r io.Reader, want reading) (response, error) {
	out := response{length: -1}
	if want.digest {
		// MD5 is what digest is made of; nothing secret hangs on it.
		out.digest = md5.New()
	}
	if want.pattern != nil {
		out.skipped, _ = want.pattern.Reach()
		out.room = longestSearch
	}
	var head []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		data := buf[:n]
		out.received += int64(n)
		if missing := excerptLength + 1 - len(out.first); missing > 0 {
			out.first = append(out.first, data[:min(missing, n)]...)
		}
		if !out.whole && n > 0 {
			head, data = out.readHead(head, data)
		}
		if out.whole {
			out.readBody(data)
		}
		switch {
		case !out.whole && len(head) > longestHead:
			return out, &responseError{fmt.Sprintf("no end of the header in %d bytes", len(head))}
		case out.body > longestBody:
			return out, &responseError{fmt.Sprintf("no end of the body in %d bytes", out.body)}
		case err == nil:
		case errors.Is(err, io.EOF) && out.whole:
			return out, nil
		case errors.Is(err, io.EOF) && out.received == 0:
			return out, &responseError{"closed by the server without an answer"}
		case errors.Is(err, io.EOF):
			return out, &responseError{fmt.Sprintf("closed by the server after %d bytes, before the end of the header", out.received)}
		case want.lax && out.whole && !os.IsTimeout(err):
			return out, nil
		default:
			return out, err
		}
	}
}

// readHead adds data to head and returns both what is the header so far and
// what is behind it.
func (r *response) readHead(head, data []byte) (newHead, rest []byte) {
	// The end may have begun in the last bytes of what was there.
	start := max(len(head)-3, 0)
	head = append(head, data...)
	i := bytes.Index(head[start:], []byte("\r\n\r\n"))
	if i < 0 {
		return head, nil
	}
	end := start + i + 4
	r.whole = true
	r.status = statusCode(head[:end])
	r.length = contentLength(head[:end])
	return head[:end], head[end:]
}

// readBody takes bytes of the body. Those beyond Content-Length are no part
// of the digest.
func (r *response) readBody(data []byte) {
	if r.digest != nil {
		counted := len(data)
		if r.length >= 0 {
			counted = int(min(int64(counted), max(r.length-r.body, 0)))
		}
		r.digest.Write(data[:counted])
	}
	skip := min(max(int64(r.skipped)-r.body, 0), int64(len(data)))
	r.body += int64(len(data))
	data = data[skip:]
	r.part = append(r.part, data[:min(r.room-len(r.part), len(data))]...)
}

// statusCode returns the status of the first line: three digits between
// spaces after the first word; 0 if there is none.
func statusCode(head []byte) int {
	line, _, _ := bytes.Cut(head, []byte("\r"))
	_, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(rest) < 4 || rest[3] != ' ' {
		return 0
	}
	code := 0
	for _, d := range rest[:3] {
		if d < '0' || d > '9' {
			return 0
		}
		code = 10*code + int(d-'0')
	}
	return code
}

// contentLength returns the value of the header line, or -1.
func contentLength(head []byte) int64 {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !strings.EqualFold(string(name), "Content-Length") {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	return -1
}

// sum returns the digest of the body in hexadecimal, or "" when none was made.
func (r response) sum() string {
	if r.digest == nil {
		return ""
	}
	return hex.EncodeToString(r.digest.Sum(nil))
}

// judge says what is wrong with the response, if anything.
func (r response) judge(url model.URL, pattern *pcre.Pattern) error {
	if r.status == 0 {
		return errors.New("no HTTP status in the first line")
	}
	if !codePasses(url.StatusCodes, r.status) {
		return fmt.Errorf("status %d, want %s", r.status, codesText(url.StatusCodes))
	}
	if r.digest != nil {
		if sum := r.sum(); !strings.EqualFold(sum, url.Digest) {
			return fmt.Errorf("digest %s of %s, want %s", sum, r.bodyText(), strings.ToLower(url.Digest))
		}
	}
	if pattern == nil || pattern.Match(r.part, r.skipped) != url.Regex.NoMatch {
		return nil
	}
	if url.Regex.NoMatch {
		return fmt.Errorf("regex %q matches in %s", url.Regex.Pattern, r.bodyText())
	}
	text := fmt.Sprintf("regex %q does not match in %s", url.Regex.Pattern, r.bodyText())
	if r.body-int64(r.skipped) > longestSearch {
		text += fmt.Sprintf(", of which the first %d were searched", r.skipped+longestSearch)
	}
	return errors.New(text)
}

// bodyText says how much came, and where that is not what was announced.
func (r response) bodyText() string {
	if r.length >= 0 && r.length != r.body {
		return fmt.Sprintf("%d bytes (Content-Length: %d)", r.body, r.length)
	}
	return fmt.Sprintf("%d bytes", r.body)
}

func codePasses(ranges []model.CodeRange, code int) bool {
	for _, r := range codes(ranges) {
		if code >= int(r.First) && code <= int(r.Last) {
			return true
		}
	}
	return false
}

// codes returns the ranges, by default 200-299.
func codes(ranges []model.CodeRange) []model.CodeRange {
	if len(ranges) == 0 {
		return []model.CodeRange{{First: 200, Last: 299}}
	}
	return ranges
}

func codesText(ranges []model.CodeRange) string {
	var words []string
	for _, r := range codes(ranges) {
		word := strconv.Itoa(int(r.First))
		if r.Last != r.First {
			word += "-" + strconv.Itoa(int(r.Last))
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
