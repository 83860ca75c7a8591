package demo

import (
	"fmt"
)

// takeoverClaims judges the moves of the virtual addresses. A second director
// that cannot balance is judged by the pings of its addresses.
func (f facts) takeoverClaims() []Claim {
	a, b := directorName(first), directorName(second)
	all := f.plan.serverNames()
	var claims []Claim
	say := func(c ...Claim) { claims = append(claims, c...) }
	if f.plan.peer() == PeerEvenkeel {
		say(f.stillIdle(a + " is master: " + b + " forwards nothing"))
	}
	say(f.cut.inTime(a+" loses its power: "+b+" is master in time"),
		f.cut.short(a+" loses its power: the client's longest gap is within that time too"))
	if f.plan.peer() == PeerEvenkeel {
		say(f.answered(b+" is master: every request is answered", phaseSecond),
			f.balanced(b+" is master: the servers share them within 1", phaseSecond, all))
	} else {
		say(f.echoed(b+" is master: every ping of its addresses is answered", phaseSecond))
	}
	say(f.home.inTime(a+" returns: it is master again in time"),
		f.home.short(a+" returns: the client's longest gap is within that time too"),
		f.answered(a+" is master again: every request is answered", phaseFirst),
		f.balanced(a+" is master again: the servers share them within 1", phaseFirst, all),
		f.stop.inTime(a+" stops: "+b+" is master in time"),
		f.stop.short(a+" stops: the client's longest gap is within that time too"))
	if f.plan.peer() == PeerEvenkeel {
		say(f.answered(b+" is master again: every request is answered", phaseLast))
	} else {
		say(f.echoed(b+" is master again: every ping of its addresses is answered", phaseLast))
	}
	return claims
}

// stillIdle claims that the backup left the requests to the master.
func (f facts) stillIdle(text string) Claim {
	if !f.settled {
		return Claim{text, false, notReached}
	}
	return Claim{text, f.idle == 0, fmt.Sprintf("%d packets", f.idle)}
}

// inTime claims that the addresses moved when VRRP says.
func (h handover) inTime(text string) Claim {
	if h.took == 0 {
		return Claim{text, false, notReached}
	}
	measured := fmt.Sprintf("%s; VRRP's timers take up to %s, and a busy machine gets %s more", seconds(h.took), seconds(h.terms), seconds(h.atMost-h.terms))
	if !h.seen {
		measured = fmt.Sprintf("not within %s, at most %s", seconds(h.took), seconds(h.atMost))
	}
	return Claim{text, h.seen && h.took <= h.atMost, measured}
}

// short claims that the client was without an answer no longer than that, and
// has answers since.
func (h handover) short(text string) Claim {
	if h.took == 0 {
		return Claim{text, false, notReached}
	}
	measured := fmt.Sprintf("%s, at most %s", seconds(h.gap), seconds(h.atMost))
	if !h.answers {
		measured = fmt.Sprintf("no answer since, %s; at most %s", seconds(h.gap), seconds(h.atMost))
	}
	return Claim{text, h.answers && h.gap <= h.atMost, measured}
}

// echoed claims that no ping of the phase failed.
func (f facts) echoed(text string, number int) Claim {
	p := f.phases[number].pings
	if p.sent() == 0 {
		return Claim{text, false, notReached}
	}
	measured := fmt.Sprintf("%d of %d answered", p.sent()-p.failed(), p.sent())
	if p.failed() > 0 {
		measured += ": " + countsText(p.reasons())
	}
	return Claim{text, p.failed() == 0, measured}
}
