package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// download is one long answer that was under way during a reload.
type download struct {
	server string
	// across is set when the reload was over before the answer was.
	across bool
	err    error
}

// downloads are long answers under way.
type downloads struct {
	ended sync.WaitGroup
	list  []download
	at    []time.Time // when each ended
}

// startDownloads opens the same number from each service and returns when
// every one has begun or failed.
func (s *story) startDownloads(ctx context.Context) (*downloads, error) {
	n := downloadsEach * len(s.plan.services)
	d := &downloads{list: make([]download, n), at: make([]time.Time, n)}
	for i := range n {
		service := i % len(s.plan.services)
		if !s.facts.settled {
			s.facts.made[service]++
		}
		opened := make(chan string, 1)
		d.ended.Go(func() {
			defer close(opened)
			d.list[i].err = s.stage.Download(ctx, service, downloadTime, func(server string) { opened <- server })
			d.at[i] = time.Now()
		})
		// One after the other, so that each service opens one at each server.
		server := <-opened
		d.list[i].server = server
	}
	return d, ctx.Err()
}

// wait waits until all have ended and says which outlived the moment.
func (d *downloads) wait(moment time.Time) []download {
	d.ended.Wait()
	for i := range d.list {
		d.list[i].across = d.at[i].After(moment)
	}
	return d.list
}

func downloadsText(list []download) string {
	whole := 0
	var failed []string
	for _, d := range list {
		if d.err == nil {
			whole++
			continue
		}
		failed = append(failed, failureOf(d.err, requestTimeout))
	}
	if len(failed) > 0 {
		return fmt.Sprintf("%d of %d downloads ended whole; %s", whole, len(list), strings.Join(failed, ", "))
	}
	return fmt.Sprintf("%d of %d downloads ended whole", whole, len(list))
}
