package health

import (
	"fmt"
	"strings"
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

// TestURLStateMachine is keepalived's rule for HTTP_GET and SSL_GET: after each
// try the state (u up, d down), the pause (l delay_loop, r delay_before_retry,
// 0 none, R a longer delay_before_retry while down) and the next url.
func TestURLStateMachine(t *testing.T) {
	tests := []struct {
		name    string
		urls    int
		alpha   bool
		fast    bool
		slow    bool // delay_before_retry above delay_loop
		start   Start
		retry   uint32
		results string
		want    string
	}{
		{name: "one url", urls: 1, retry: 2, results: "ssfffs", want: "ul0 ul0 ur0 ur0 dl0 dl0"},
		{name: "a url that failed, then all", urls: 1, retry: 1, results: "sffss", want: "ul0 ur0 dl0 dl0 ul0"},
		{name: "urls take turns", urls: 3, results: "ssss", want: "ul1 ul2 ul0 ul1"},
		{name: "before all succeeded a failure counts at once", urls: 2, retry: 3, results: "sf", want: "ul1 dl1"},
		{name: "afterwards retries count on the same url", urls: 2, retry: 2, results: "sssffsf", want: "ul1 ul0 ul1 ur1 ur1 ul0 ur0"},
		{name: "recovery starts with the url that failed", urls: 2, results: "ssfsfsss", want: "ul1 ul0 dl0 dl0 dr0 dl1 ul0 ul1"},
		{name: "another url fails on the way up", urls: 2, results: "ssfssfs", want: "ul1 ul0 dl0 dl0 dl1 dr1 ul0"},
		{name: "the same url keeps failing", urls: 2, retry: 1, results: "ssfffs", want: "ul1 ul0 ur0 dl0 dl0 dl0"},
		{name: "alpha waits for all", urls: 2, alpha: true, results: "ssf", want: "dl1 ul0 dl0"},
		{name: "alpha that fails first", urls: 2, alpha: true, results: "fsss", want: "dl0 dl0 dl1 ul0"},
		{name: "fast_recovery at start", urls: 3, fast: true, results: "ssss", want: "u01 u02 ul0 ul1"},
		{name: "fast_recovery of alpha", urls: 2, alpha: true, fast: true, results: "sss", want: "d01 ul0 ul1"},
		{name: "fast_recovery after a failure", urls: 2, fast: true, results: "ssfsssfffs", want: "u01 ul0 dl0 d00 d01 ul0 dl0 dl0 dl0 d00"},
		{name: "fast_recovery does not hammer", urls: 2, fast: true, results: "ssfsfs", want: "u01 ul0 dl0 d00 dr0 d01"},
		{name: "down, the longer pause counts", urls: 1, slow: true, results: "sffss", want: "ul0 dR0 dR0 dl0 ul0"},
		{name: "taken over as up", urls: 2, start: StartUp, retry: 1, results: "sff", want: "ul1 ur1 dl1"},
		{name: "taken over as down", urls: 2, start: StartDown, results: "ss", want: "dl1 ul0"},
		{name: "what was not tried", urls: 2, results: "snf", want: "ul1 ul1 dl1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := model.Check{
				Kind: model.HTTPGet, Alpha: tt.alpha, Retry: tt.retry, DelayLoop: time.Minute, DelayBeforeRetry: time.Second,
				HTTP: &model.HTTPSpec{URLs: make([]model.URL, tt.urls), FastRecovery: tt.fast},
			}
			if tt.slow {
				c.DelayBeforeRetry = time.Hour
			}
			pauses := map[time.Duration]string{time.Minute: "l", time.Second: "r", 0: "0", time.Hour: "R"}
			s := Initial(c, tt.start)
			var got []string
			for _, result := range results(tt.results) {
				var pause time.Duration
				s, pause = s.Next(c, result)
				got = append(got, fmt.Sprintf("%s%s%d", map[bool]string{true: "u", false: "d"}[s.Up], pauses[pause], s.URL))
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("after %s: %s, want %s", tt.results, text, tt.want)
			}
		})
	}
}

// SMTP_CHECK retries before its first success and while it is down.
func TestSMTPStateMachine(t *testing.T) {
	c := model.Check{Kind: model.SMTPCheck, Retry: 1, DelayLoop: time.Minute, DelayBeforeRetry: time.Second}
	s := Initial(c, StartByAlpha)
	states, pauses := "", ""
	for _, result := range results("fffffsfs") {
		var pause time.Duration
		s, pause = s.Next(c, result)
		states += map[bool]string{true: "u", false: "d"}[s.Up]
		pauses += map[time.Duration]string{time.Minute: "l", time.Second: "r"}[pause]
	}
	if states != "udddduuu" || pauses != "rlrlrlrl" {
		t.Errorf("states %s, pauses %s; want udddduuu, rlrlrlrl", states, pauses)
	}
}

// A try sees the url that is its turn, and the definition stays whole.
func TestStepHasOneURL(t *testing.T) {
	c := model.Check{Kind: model.HTTPGet, HTTP: &model.HTTPSpec{URLs: []model.URL{{Path: "/a"}, {Path: "/b"}}}}
	one := State{URL: 1}.step(c)
	if len(one.HTTP.URLs) != 1 || one.HTTP.URLs[0].Path != "/b" || len(c.HTTP.URLs) != 2 {
		t.Errorf("step = %+v of %+v, want /b alone", one.HTTP.URLs, c.HTTP.URLs)
	}
}
