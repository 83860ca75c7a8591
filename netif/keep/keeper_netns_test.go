//go:build netns

package keep

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// real is a world of namespaces. Somebody else is ip.
type real struct {
	*Kernel
	t    testing.TB
	lab  *lab.Lab
	node *lab.Node
	far  *lab.Node
	eth0 *lab.Iface

	mu  sync.Mutex // guards sub
	sub subscription
}

func newReal(t testing.TB) *real {
	t.Helper()
	w := &real{t: t, lab: labtest.New(t)}
	var err error
	w.node, err = w.lab.AddNode("node")
	w.check(err)
	w.far, err = w.lab.AddNode("far")
	w.check(err)
	w.connect()
	w.Kernel = openKernel(t, w.node)
	return w
}

func openKernel(t testing.TB, n *lab.Node) *Kernel {
	t.Helper()
	var nk *netif.Kernel
	err := n.Do(func() (err error) {
		nk, err = netif.Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(nk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close(); nk.Close() })
	return k
}

func (w *real) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *real) connect() {
	w.t.Helper()
	var err error
	w.eth0, _, err = w.lab.Connect(w.node, lab.Port{Name: "eth0"}, w.far, lab.Port{Name: "eth0"})
	w.check(err)
	w.check(w.node.SetSysctl("net/ipv6/conf/eth0/disable_ipv6", "0"))
}

// subscribe remembers the subscription, so that lose can end it.
func (w *real) subscribe() (subscription, error) {
	sub, err := w.Kernel.subscribe()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sub = sub
	return sub, err
}

func (w *real) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sub.close()
}

func (w *real) setUp(up bool) { w.check(w.eth0.SetUp(up)) }

func (w *real) renew() {
	w.check(w.eth0.Delete())
	w.connect()
}

func (w *real) ip(args ...string) error {
	return w.node.Run(exec.Command("ip", args...))
}

func (w *real) put(it item) { w.check(w.ip(words(it, "add")...)) }

// remove takes no answer: what is not there any more cannot be removed.
func (w *real) remove(it item) { _ = w.ip(words(it, "del")...) }

// words are those of an ip command.
func words(it item, verb string) []string {
	var text string
	switch it := it.(type) {
	case address:
		text = fmt.Sprintf("addr %s %s dev %s", verb, it.Prefix, it.Interface)
		if verb == "add" && it.Prefix.Addr().Is6() {
			text += " nodad"
		}
	case route:
		text = fmt.Sprintf("route %s", verb)
		if it.Dst.Addr().Is6() {
			text = "-6 " + text
		}
		text += map[uint8]string{unix.RTN_BLACKHOLE: " blackhole", unix.RTN_UNREACHABLE: " unreachable"}[it.Type]
		text += " " + it.Dst.String()
		if it.Via.IsValid() {
			text += " via " + it.Via.String()
		}
		if it.Interface != "" {
			text += " dev " + it.Interface
		}
		text += fmt.Sprintf(" table %d", it.Table)
	case rule:
		text = fmt.Sprintf("rule %s priority %d", verb, it.Priority)
		if it.IPv6 {
			text = "-6 " + text
		}
	}
	return strings.Fields(text)
}

// has asks netlink's own parsers.
func (w *real) has(it item) bool {
	w.t.Helper()
	h := w.node.Netlink()
	switch it := it.(type) {
	case address:
		list, err := h.AddrList(nil, netlink.FAMILY_ALL)
		w.check(err)
		return slices.ContainsFunc(list, func(a netlink.Addr) bool {
			label := it.Label
			if label == "" {
				label = it.Interface
			}
			link, _ := h.LinkByIndex(a.LinkIndex)
			usable := a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
			return a.IPNet.String() == it.Prefix.String() && usable && (a.Label == label || it.Prefix.Addr().Is6()) &&
				link != nil && link.Attrs().Name == it.Interface
		})
	case route:
		list, err := h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: int(it.Table)}, netlink.RT_FILTER_TABLE)
		w.check(err)
		return slices.ContainsFunc(list, func(r netlink.Route) bool {
			return r.Dst != nil && r.Dst.String() == it.Dst.String() && r.Type == int(it.Type) &&
				(!it.Via.IsValid() || r.Gw.Equal(net.IP(it.Via.AsSlice()))) && r.Priority == int(it.metric()) &&
				(!it.Source.IsValid() || r.Src.Equal(net.IP(it.Source.AsSlice())))
		})
	case rule:
		family := netlink.FAMILY_V4
		if it.IPv6 {
			family = netlink.FAMILY_V6
		}
		list, err := h.RuleList(family)
		w.check(err)
		return slices.ContainsFunc(list, func(r netlink.Rule) bool {
			return r.Priority == int(it.Priority) && r.IifName == it.InInterface && r.OifName == it.OutInterface && r.Mark == it.Mark
		})
	}
	return false
}

// TestScenariosReal runs the scenarios against the real kernel.
func TestScenariosReal(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			s := newStage(t, newReal(t))
			defer func() { s.stop() }()
			sc.run(s)
		})
	}
}

// TestMarks: what is ours says so, in ip's words.
func TestMarks(t *testing.T) {
	w := newReal(t)
	s := newStage(t, w)
	defer func() { s.stop() }()
	set := full()
	set.Addresses = append(set.Addresses, model.Address{Prefix: prefix("10.92.0.1/32"), Interface: "eth0",
		Peer: prefix("10.92.0.2/32"), Label: "eth0:p", Scope: unix.RT_SCOPE_LINK})
	s.keeper.Hold("A", 1, set)
	if p := s.report(); p.Failed != 0 {
		t.Fatalf("report %+v", p)
	}
	for _, tt := range []struct{ command, want string }{
		{"addr show dev eth0", "inet6 fd5a::101/128 scope global nodad deprecated valid_lft forever preferred_lft 0sec"},
		{"addr show dev eth0", "inet6 fd5a::100/64 scope global nodad"},
		{"addr show dev eth0", "inet 10.92.0.1 peer 10.92.0.2/32 scope link eth0:p"},
		{"route show proto 69", "192.0.2.0/24 via 10.90.0.9 dev eth0 src 10.90.0.100"},
		{"route show proto 69", "blackhole 203.0.113.0/24"},
		{"route show table 1000 proto 69", "198.51.100.0/24 dev eth0 scope link metric 7"},
		{"-6 route show proto 69", "2001:db8::/32 via fd5a::9 dev eth0 metric 1024"},
		{"-d rule", "from 10.90.0.100 lookup 1000 proto 69"},
		{"-d rule", "from all to 192.0.2.0/24 fwmark 0x5 iif eth0 prohibit proto 69"},
		{"-d -6 rule", "not from all oif eth0 lookup 1000 proto 69"},
	} {
		var out []byte
		err := w.node.Do(func() (err error) {
			out, err = exec.Command("ip", strings.Fields(tt.command)...).Output()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(out)), " "), tt.want) {
			t.Errorf("ip %s shows\n%s, want %q", tt.command, out, tt.want)
		}
	}
	list, err := w.node.Netlink().AddrList(nil, netlink.FAMILY_ALL)
	w.check(err)
	ours := slices.DeleteFunc(list, func(a netlink.Addr) bool { return a.Protocol != Protocol })
	if len(ours) != len(set.Addresses) {
		t.Errorf("%d addresses are marked, want %d", len(ours), len(set.Addresses))
	}
	s.keeper.Drop("A", set)
	s.sync()
	s.want(set, false)
}

// TestCulprit names the process that removed an address.
func TestCulprit(t *testing.T) {
	w := newReal(t)
	if got := w.who(change{}); got != "the kernel" {
		t.Errorf("who = %q", got)
	}
	if got := w.who(change{port: 1}); !strings.HasSuffix(got, "(process 1)") {
		t.Errorf("who = %q", got)
	}
	if got := w.who(change{port: 1 << 31}); got != "" {
		t.Errorf("who = %q", got)
	}
}

// TestAnswersOfABatch: only the last message is confirmed, and each error finds
// its message, wherever it stands.
func TestAnswersOfABatch(t *testing.T) {
	w := newReal(t)
	const nowhere = 9999
	object := func(n, index int) addressObject {
		a := address{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.90.1.%d/32", n)), Interface: "eth0"}
		return addressObject{address: a, index: index}
	}
	for bad := range 3 {
		var list, undo []message
		for n := range 3 {
			if n == bad {
				list = append(list, object(n, nowhere).add())
				continue
			}
			list = append(list, object(n, w.eth0.Index).add())
			undo = append(undo, object(n, w.eth0.Index).del())
		}
		for n, err := range w.apply(list) {
			if (err != nil) != (n == bad) {
				t.Errorf("message %d of a batch with a bad %d: %v", n, bad, err)
			}
		}
		w.apply(undo)
	}
	if got := w.apply(nil); len(got) != 0 {
		t.Errorf("apply nothing = %v", got)
	}
}

// TestThousandAddresses prints how long they take; that is no claim.
func TestThousandAddresses(t *testing.T) {
	s := newStage(t, newReal(t))
	defer func() { s.stop() }()
	set := manyAddresses(1000)
	start := time.Now()
	s.keeper.Hold("A", 1, set)
	s.report()
	t.Logf("1000 addresses in place after %v", time.Since(start))
	start = time.Now()
	s.remove(set.items()[500])
	s.report()
	t.Logf("one of them back after %v, with the run of ip", time.Since(start))
	start = time.Now()
	s.keeper.Drop("A", set)
	s.sync()
	t.Logf("removed after %v", time.Since(start))
}
