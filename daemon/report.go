package daemon

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Report implements XDP.
func (x *hostXDP) Report(context.Context) (Report, error) {
	status, err := x.xdp.Status()
	if err != nil {
		return Report{}, err
	}
	counts, err := x.xdp.Reasons()
	if err != nil {
		return Report{}, err
	}
	return Report{
		Datapath: api.Datapath{
			Running:    true,
			Kernel:     kernelRelease(),
			Adopted:    status.Adopted,
			Interfaces: interfacesOf(status.Interfaces),
		},
		PinDir: x.host.pinDir,
		Flows: api.FlowTable{
			Used:     status.Flows.Live,
			Capacity: uint64(status.Limits.Flows),
			Expired:  status.Flows.Expired,
			Refused:  status.Flows.Refused,
		},
		Reasons: reasonsOf(counts),
	}, nil
}

// Explain implements XDP.
func (x *hostXDP) Explain(ctx context.Context, p loader.Packet) (loader.Explanation, error) {
	return x.xdp.Explain(ctx, p)
}

func interfacesOf(list []loader.Interface) []api.Interface {
	out := make([]api.Interface, 0, len(list))
	for _, i := range list {
		out = append(out, api.Interface{Name: i.Name, Index: i.Index, Mode: string(i.Mode), Reason: i.Reason, VLANs: i.VLANs, Problem: i.Problem})
	}
	return out
}

// reasonsOf returns what was counted, without what never occurred, in order of
// number.
func reasonsOf(counts loader.Reasons) []api.Reason {
	out := make([]api.Reason, 0, len(counts))
	for r, n := range counts {
		if n == 0 {
			continue
		}
		out = append(out, api.Reason{Number: uint32(r), Name: r.String(), Verdict: string(r.Verdict()), Text: r.Text(), Packets: n})
	}
	slices.SortFunc(out, func(a, b api.Reason) int { return int(a.Number) - int(b.Number) })
	return out
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Apply implements director.Datapath.
func (x *hostXDP) Apply(ctx context.Context, ops []sched.Op) error { return x.xdp.Apply(ctx, ops) }

// Snapshot implements director.Datapath.
func (x *hostXDP) Snapshot(ctx context.Context) (model.Tables, error) { return x.xdp.Snapshot(ctx) }

// Flows implements director.Datapath.
func (x *hostXDP) Flows(ctx context.Context, yield func(model.Flow) bool) error {
	return x.xdp.Flows(ctx, yield)
}
