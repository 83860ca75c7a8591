package notify

import (
	"bytes"
	"strings"
	"sync"
)

const (
	// tailBytes and tailLines bound what is kept of a script's output.
	tailBytes = 1024
	tailLines = 8
)

// tail is a Writer that keeps the end of what is written.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(p) >= tailBytes {
		t.buf = append(t.buf[:0], p[len(p)-tailBytes:]...)
		return len(p), nil
	}
	if over := len(t.buf) + len(p) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	t.buf = append(t.buf, p...)
	return len(p), nil
}

// String returns the last lines as valid UTF-8 without the last line feed.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimRight(t.buf, "\r\n")
	begin := len(text)
	for range tailLines {
		begin = bytes.LastIndexByte(text[:max(begin, 0)], '\n')
	}
	return strings.ToValidUTF8(string(text[begin+1:]), "\uFFFD")
}
