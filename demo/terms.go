package demo

import (
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// spreadPart is how far health spreads a pause of delay_loop to each side,
// so that checks do not march in step.
const spreadPart = 0.05

// terms are how long a configuration lets changes take.
type terms struct {
	// down bounds the time until a server that answers no more is out, up
	// the time until one that answers again is back.
	down, up time.Duration
	// silence is how long each director waits for a silent master, at most, and
	// goodbye how long for one that said goodbye.
	silence, goodbye [directorCount]time.Duration
}

// slack is what a takeover may take beyond VRRP's terms: links, programs and
// requests of a machine that has other work take their time too.
const slack = 2 * time.Second

// electionTerms returns the longest wait of the instances: RFC 9568 section 6.1,
// Active_Down_Interval and Skew_Time.
func electionTerms(instances []model.VRRPInstance) (silence, goodbye time.Duration) {
	for _, i := range instances {
		skew := i.Interval * time.Duration(256-int(i.Priority)) / 256
		goodbye = max(goodbye, skew)
		silence = max(silence, time.Duration(i.DownAdverts)*i.Interval+skew)
	}
	return silence, goodbye
}

// addChecks makes the terms the longest of all checks.
func (t *terms) addChecks(services []model.VirtualServer) {
	for _, s := range services {
		for _, server := range s.Servers {
			for _, c := range server.Checks {
				one := checkTerms(c)
				t.down, t.up = max(t.down, one.down), max(t.up, one.up)
			}
		}
	}
}

// checkTerms adds up one check: the server changes right after a try, the next
// one comes a delay_loop later, and each try may last its connect_timeout. Going
// down takes retry further tries, delay_before_retry apart; coming up takes
// one success.
func checkTerms(c model.Check) terms {
	pause := c.DelayLoop + time.Duration(spreadPart*float64(c.DelayLoop))
	tries := time.Duration(c.Retry + 1)
	return terms{
		down: pause + tries*c.ConnectTimeout + time.Duration(c.Retry)*c.DelayBeforeRetry,
		up:   pause + c.ConnectTimeout,
	}
}
