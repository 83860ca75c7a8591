//go:build netns

package vrrp

import "testing"

// TestAdvertsTakeNoMemory, so that the collector has next to nothing to do, whose
// work holds adverts up. It runs in a tier without the race detector, which takes
// memory of its own.
func TestAdvertsTakeNoMemory(t *testing.T) {
	master := newTarget(t, better(base(V3)), Master)
	backup := newTarget(t, base(V3), Backup)
	advert := sent(t, better(base(V3)), 250)
	for name, f := range map[string]func(){
		"sent": func() {
			master.now, _ = master.runner.group.Next()
			master.runner.tick(master.now)
		},
		"heard": func() { backup.runner.packet(backup.now, 0, advert) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("an advert %s takes %g pieces of memory", name, n)
		}
	}
}
