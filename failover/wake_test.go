package failover

import (
	"testing"
	"time"
)

// TestWaker: the runtime waits for the timer, and the last deadline counts.
func TestWaker(t *testing.T) {
	w, err := newWaker()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	// Only files that the runtime waits for take a deadline.
	if err := w.file.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatalf("the runtime does not wait for it: %v", err)
	}
	w.after(time.Hour)
	w.after(time.Millisecond)
	w.after(0) // keeps it
	b := make([]byte, 8)
	if n, err := w.file.Read(b); n != 8 || err != nil {
		t.Errorf("it does not wake: %d bytes, %v", n, err)
	}
}
