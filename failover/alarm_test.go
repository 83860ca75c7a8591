package failover

import (
	"testing"
	"time"
)

// TestAlarm: the last deadline counts, one that has passed too, and Close ends
// the wait.
func TestAlarm(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	// Only files that the runtime waits for take a deadline.
	if err := a.file.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatalf("the runtime does not wait for it: %v", err)
	}
	a.Set(time.Hour)
	a.Set(time.Millisecond)
	if !a.Wait() {
		t.Error("it does not wake")
	}
	a.Set(0)
	if !a.Wait() {
		t.Error("what is due already does not wake")
	}
	ended := make(chan bool)
	go func() { ended <- a.Wait() }()
	a.Close()
	if <-ended {
		t.Error("it woke, though it is closed")
	}
	a.Set(time.Millisecond) // does no harm
}
