package health

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

func TestLog(t *testing.T) {
	tests := []struct {
		name    string
		all     bool
		answers string
		want    []string
	}{
		{"turns only", false, "sffsfs", []string{"WARN check failed (2 tries)", "INFO check succeeded (1 tries)"}},
		{"all failures", true, "sffsf", []string{
			"INFO try failed (1 tries)", "WARN check failed (2 tries)", "INFO check succeeded (1 tries)", "INFO try failed (1 tries)",
		}},
		{"not tried is said once", false, "nnns", []string{"WARN check could not be made (1 tries)"}},
		{"alpha", false, "fs", []string{"WARN check failed (1 tries)", "INFO check succeeded (1 tries)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := []rune(tt.answers)
				p := newRecorder(func(ctx context.Context, c model.Check) error {
					if len(left) == 0 {
						<-ctx.Done()
						return ctx.Err()
					}
					b := left[0]
					left = left[1:]
					return (&told{b}).Probe(ctx, c)
				})
				c := minuteCheck()
				c.LogAllFailures = tt.all
				lines := &logLines{}
				start(t, []Target{target(1, c)}, Options{Prober: p, Random: middle, Log: slog.New(lines)})
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(tt.want, lines.list); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// logLines is a slog.Handler that keeps level, message and tries.
type logLines struct{ list []string }

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return l }

func (l *logLines) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Level.String() + " " + rec.Message
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key == "tries" {
			line += fmt.Sprintf(" (%s tries)", a.Value)
		}
		return true
	})
	l.list = append(l.list, line)
	return nil
}
