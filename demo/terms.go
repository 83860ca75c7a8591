package demo

import (
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// spreadPart is how far health spreads a pause of delay_loop to each side,
// so that checks do not march in step.
const spreadPart = 0.05

// terms are how long the checks of a configuration may take to see a change.
type terms struct {
	// down bounds the time until a server that answers no more is out, up
	// the time until one that answers again is back.
	down, up time.Duration
}

// termsOf returns the longest terms of all checks.
func termsOf(services []model.VirtualServer) terms {
	var t terms
	for _, s := range services {
		for _, server := range s.Servers {
			for _, c := range server.Checks {
				one := checkTerms(c)
				t.down, t.up = max(t.down, one.down), max(t.up, one.up)
			}
		}
	}
	return t
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
