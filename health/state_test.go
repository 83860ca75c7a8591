package health

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// tries are results as letters: s succeeded, f failed, n not tried.
func results(letters string) []Result {
	var list []Result
	for _, l := range letters {
		list = append(list, map[rune]Result{'s': Succeeded, 'f': Failed, 'n': NotTried}[l])
	}
	return list
}

// TestStateMachine is keepalived's rule as pauses (l delay_loop, r
// delay_before_retry) and states (u up, d down) after each try.
func TestStateMachine(t *testing.T) {
	tests := []struct {
		name    string
		alpha   bool
		start   Start
		retry   uint32
		results string
		states  string
		pauses  string
	}{
		{name: "the first failure counts at once", retry: 3, results: "f", states: "d", pauses: "l"},
		{name: "retries count after a success", retry: 2, results: "sfffs", states: "uuudu", pauses: "lrrll"},
		{name: "a success clears the count", retry: 2, results: "sffsffsf", states: "uuuuuuuu", pauses: "lrrlrrlr"},
		{name: "one success brings up", retry: 1, results: "sffffsf", states: "uuddduu", pauses: "lrllllr"},
		{name: "no retry", retry: 0, results: "sfsf", states: "udud", pauses: "llll"},
		{name: "while down tries come each delay_loop", retry: 5, results: "ffff", states: "dddd", pauses: "llll"},
		{name: "alpha is down until its first success", alpha: true, retry: 1, results: "ffsff", states: "dduud", pauses: "lllrl"},
		{name: "what was not tried changes nothing", retry: 1, results: "nsfnfn", states: "uuuudd", pauses: "llrlll"},
		{name: "alpha that cannot be tried stays down", alpha: true, retry: 1, results: "nns", states: "ddu", pauses: "lll"},
		{name: "taken over as up has its retries", start: StartUp, alpha: true, retry: 1, results: "ff", states: "ud", pauses: "rl"},
		{name: "taken over as down waits for a success", start: StartDown, retry: 1, results: "fsf", states: "duu", pauses: "llr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := model.Check{Alpha: tt.alpha, Retry: tt.retry, DelayLoop: time.Minute, DelayBeforeRetry: time.Second}
			s := Initial(c, tt.start)
			states, pauses := "", ""
			for _, result := range results(tt.results) {
				var pause time.Duration
				s, pause = s.Next(c, result)
				states += map[bool]string{true: "u", false: "d"}[s.Up]
				pauses += map[time.Duration]string{time.Minute: "l", time.Second: "r"}[pause]
			}
			if states != tt.states || pauses != tt.pauses {
				t.Errorf("after %s: states %s, pauses %s; want %s, %s", tt.results, states, pauses, tt.states, tt.pauses)
			}
		})
	}
}
