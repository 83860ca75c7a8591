package health

import (
	"context"
	"errors"

	"github.com/evenkeel/evenkeel/model"
)

// statedLess is what misc_dynamic takes off an exit status to get the weight,
// since 0 and 1 have meanings of their own.
const statedLess = 2

// misc makes one try of MISC_CHECK. It ends when no process of the script is
// left, so that the same script never runs twice at a time.
func (k *Checkers) misc(ctx context.Context, c model.Check) Answer {
	if c.Misc == nil || k.opts.Scripts == nil {
		return Answer{Err: notTried("no script can be run")}
	}
	answer := Answer{Err: notTried("ended before its outcome"), Sent: excerpt([]byte(c.Misc.Script.String()))}
	k.opts.Scripts.Run(ctx, c.Misc.Script, func(r model.ScriptResult) {
		answer.Received = excerpt([]byte(r.Output))
		answer.Weight, answer.Err = judgeScript(*c.Misc, r)
	})
	return answer
}

// judgeScript says what the outcome of a script means. One that was not run
// says nothing about the server.
func judgeScript(m model.MiscSpec, r model.ScriptResult) (WeightChange, error) {
	switch {
	case r.Refused != "" || r.Unmade != "":
		return WeightChange{}, notTried("%v", r)
	case r.OK():
		return WeightChange{}, nil
	case m.Dynamic && !r.TimedOut && r.Signal == 0 && r.Exit >= statedLess && r.Exit <= 255:
		return WeightChange{Add: int64(r.Exit - statedLess), Stated: 1}, nil
	}
	return WeightChange{}, errors.New(r.String())
}
