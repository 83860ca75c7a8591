package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// runFIFO runs f until the returned function is called.
func runFIFO(t *testing.T, f *fifo, grace time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.run(ctx, grace) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run fifo = %v, want nil", err)
		}
	}
}

func openReader(t *testing.T, path string) *os.File {
	t.Helper()
	// With a writer present this does not wait.
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestFIFOOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	f, err := openFIFO(FIFO{Path: path}, 10, discard())
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != fs.ModeNamedPipe || info.Mode().Perm()&^fifoMode != 0 {
		t.Errorf("fifo is %v, %v", info, err)
	}
	r := openReader(t, path)
	stop := runFIFO(t, f, time.Minute)
	var want strings.Builder
	for _, line := range []string{"a\n", "b\n\x00", "c\n"} {
		want.WriteString(line)
		if !f.queue.put(line) {
			t.Errorf("line %q was dropped", line)
		}
	}
	// Stopping writes what is queued.
	stop()
	if text, err := io.ReadAll(r); string(text) != want.String() || err != nil {
		t.Errorf("read %q, %v, want %q", text, err, want.String())
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end the fifo is there (%v)", err)
	}
	if written, lost := f.stats(); written != 3 || lost != 0 {
		t.Errorf("written %d, lost %d, want 3 and 0", written, lost)
	}
}

// TestFIFOFull fills a FIFO that nobody reads, then the queue before it.
func TestFIFOFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f, err := openFIFO(FIFO{Path: path}, 2,
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: dropTime})))
	if err != nil {
		t.Fatal(err)
	}
	if size := fill(t, f.file); size < 4096 {
		t.Fatalf("the fifo took %d bytes", size)
	}
	for _, line := range []string{"one\n", "two\n", "three\n", "four\n"} {
		if got, want := f.queue.put(line), line == "one\n" || line == "two\n"; got != want {
			t.Errorf("put(%q) = %v, want %v", line, got, want)
		}
	}
	// A reader comes: what was queued follows.
	r := openReader(t, path)
	stop := runFIFO(t, f, time.Minute)
	buf := make([]byte, 128<<10)
	var got []byte
	for !bytes.HasSuffix(got, []byte("two\n")) {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if text := string(bytes.TrimLeft(got, ".")); text != "one\ntwo\n" {
		t.Errorf("after the filling came %q", text)
	}
	if !f.queue.put("five\n") {
		t.Error("a line was dropped although there is room")
	}
	stop()
	if text, err := io.ReadAll(r); string(text) != "five\n" || err != nil {
		t.Errorf("read %q, %v, want five", text, err)
	}
	if written, lost := f.stats(); written != 3 || lost != 2 {
		t.Errorf("written %d, lost %d, want 3 and 2", written, lost)
	}
	want := `level=WARN msg="queue is full: events are dropped" fifo=` + path + ` size=2
level=INFO msg="queue has room again" fifo=` + path + ` dropped_in_all=2
`
	if log.String() != want {
		t.Errorf("log:\n%swant:\n%s", &log, want)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the fifo that was there before is gone: %v", err)
	}
}

// TestFIFOStopsWhileFull ends the writer in the middle of a write.
func TestFIFOStopsWhileFull(t *testing.T) {
	f, err := openFIFO(FIFO{Path: filepath.Join(t.TempDir(), "fifo")}, 2, discard())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, f.file)
	f.queue.put("one\n")
	f.queue.put("two\n")
	runFIFO(t, f, time.Millisecond)()
	if written, lost := f.stats(); written != 0 || lost != 2 {
		t.Errorf("written %d, lost %d, want 0 and 2", written, lost)
	}
}

// fill writes until the pipe takes no more and returns how much it took.
func fill(t *testing.T, f *os.File) int {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	err = conn.Control(func(fd uintptr) {
		page := bytes.Repeat([]byte("."), 4096)
		for len(page) > 0 {
			n, err := unix.Write(int(fd), page)
			if err != nil {
				page = page[:len(page)/2]
				continue
			}
			total += n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func TestOpenFIFORefuses(t *testing.T) {
	dir := t.TempDir()
	file, link, other := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), unix.Mkfifo(other, 0o600), os.Symlink(other, link)); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{file, "open fifo " + file + ": it is not a FIFO"},
		{link, "open fifo " + link + ": it is not a FIFO"},
		{filepath.Join(dir, "absent", "fifo"), "create fifo " + dir + "/absent/fifo: no such file or directory"},
	}
	for _, tt := range tests {
		f, err := openFIFO(FIFO{Path: tt.path}, 1, discard())
		if f != nil || err == nil || err.Error() != tt.want {
			t.Errorf("open %s = %v, want %q", tt.path, err, tt.want)
		}
	}
	for _, path := range []string{file, link, other} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("it was removed: %v", err)
		}
	}
}
