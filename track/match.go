package track

import (
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Proc is a process as far as it is compared.
type Proc struct {
	// Name is the command name, which the kernel cuts after 15 bytes.
	Name string
	// Args is the command line; kernel threads have none.
	Args []string
}

// maxName is what the kernel keeps of a name.
const maxName = 15

// matches reports whether p counts for d. The name is compared, or, where
// parameters, a way to compare them or full_command are given, the command line
// with argv[0] written as it was. A longer name than the kernel keeps is
// compared with argv[0] as well; in keepalived it matches nothing.
func matches(d model.TrackProcess, p Proc) bool {
	if len(d.Params) == 0 && d.Match == model.MatchExact && !d.FullCommand {
		if len(d.Process) <= maxName {
			return d.Process == p.Name
		}
		return d.Process[:maxName] == p.Name && len(p.Args) > 0 &&
			p.Args[0][strings.LastIndexByte(p.Args[0], '/')+1:] == d.Process
	}
	if len(p.Args) == 0 || p.Args[0] != d.Process {
		return false
	}
	return matchParams(d.Params, p.Args[1:], d.Match)
}

// matchParams compares arguments with parameters as param_match says. No
// parameters match all.
func matchParams(params, args []string, how model.ParamMatch) bool {
	n := len(params)
	switch {
	case n == 0:
		return true
	case n > len(args), how == model.MatchExact && n < len(args):
		return false
	case how == model.MatchInitial:
		return slices.Equal(params[:n-1], args[:n-1]) && strings.HasPrefix(args[n-1], params[n-1])
	}
	return slices.Equal(params, args[:n])
}

// hasQuorum reports whether so many processes are enough and not too many.
func hasQuorum(d model.TrackProcess, n int) bool {
	return n >= d.Quorum && (d.QuorumMax < 0 || n <= d.QuorumMax)
}
