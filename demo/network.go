package demo

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/model"
)

// systemBPFFS is where a system has its bpf file system.
const systemBPFFS = "/sys/fs/bpf"

// network is the plan's namespaces and what answers in them.
type network struct {
	lab             *lab.Lab
	outside, inside *lab.LAN
	client          *lab.Node
	servers         []*lab.Node
	// web are the running HTTP servers; nil for a stopped one.
	web []*lab.Server
}

// buildNetwork makes the namespaces, links and addresses of the plan, but the
// directors. The caller closes the lab, also after an error.
func buildNetwork(l *lab.Lab, p plan) (*network, error) {
	n := &network{lab: l, web: make([]*lab.Server, len(p.servers))}
	var err error
	if n.outside, err = l.AddLAN("outside"); err != nil {
		return nil, err
	}
	if n.inside, err = l.AddLAN("inside"); err != nil {
		return nil, err
	}
	if n.client, err = n.joinBoth("client", netip.MustParseAddr(clientOutside), netip.MustParseAddr(clientInside)); err != nil {
		return nil, err
	}
	for i, addr := range p.servers {
		s, err := n.addServer(serverName(i), addr)
		if err != nil {
			return nil, err
		}
		n.servers = append(n.servers, s)
	}
	return n, n.addVIPs(p)
}

// addDirector adds a machine that forwards. It has no virtual address: those
// are the election's.
func (n *network) addDirector(d director) (*lab.Node, error) {
	node, err := n.joinBoth(d.name, d.outside, d.inside)
	if err != nil {
		return nil, err
	}
	return node, node.SetForwarding(true)
}

// joinBoth adds a host with eth0 outside and eth1 inside.
func (n *network) joinBoth(name string, outside, inside netip.Addr) (*lab.Node, error) {
	node, err := n.lab.AddNode(name)
	if err != nil {
		return nil, err
	}
	if err := join(n.outside, node, "eth0", outside); err != nil {
		return nil, err
	}
	return node, join(n.inside, node, "eth1", inside)
}

func join(lan *lab.LAN, node *lab.Node, ifname string, addr netip.Addr) error {
	_, err := lan.Join(node, lab.Port{Name: ifname, Addrs: []netip.Prefix{netip.PrefixFrom(addr, networkBits)}})
	return err
}

// addServer adds a real server, whose way out is whoever is master.
func (n *network) addServer(name string, addr netip.Addr) (*lab.Node, error) {
	node, err := n.lab.AddNode(name)
	if err != nil {
		return nil, err
	}
	if err := join(n.inside, node, "eth0", addr); err != nil {
		return nil, err
	}
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	return node, node.AddRoute(everything, netip.MustParseAddr(gateway))
}

// addVIPs gives the servers the virtual addresses of DR on lo.
func (n *network) addVIPs(p plan) error {
	for _, s := range p.services {
		if s.forward != model.DR {
			continue
		}
		for _, server := range n.servers {
			if err := server.AddVIP(s.vip); err != nil {
				return err
			}
		}
	}
	return nil
}

// startServer starts the HTTP server of a node. It does nothing while it runs.
func (n *network) startServer(i int) error {
	if n.web[i] != nil {
		return nil
	}
	s, err := n.servers[i].ServeHTTP(fmt.Sprintf("0.0.0.0:%d", httpPort), answers(serverName(i)))
	n.web[i] = s
	return err
}

// stopServer closes the HTTP server's listener and connections.
func (n *network) stopServer(i int) error {
	if n.web[i] == nil {
		return nil
	}
	s := n.web[i]
	n.web[i] = nil
	return s.Close()
}

// downloadPath answers slowly; the query time says for how long.
const downloadPath = "/download"

// downloadEnd is the last line of a download.
const downloadEnd = "end"

// chunkPause is the time between two lines of a download.
const chunkPause = 100 * time.Millisecond

// answers is what a real server says: its name.
func answers(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	mux.HandleFunc(downloadPath, func(w http.ResponseWriter, r *http.Request) { answerSlowly(w, r, name) })
	return mux
}

func answerSlowly(w http.ResponseWriter, r *http.Request, name string) {
	last, err := time.ParseDuration(r.URL.Query().Get("time"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	flush := http.NewResponseController(w)
	pace := time.NewTicker(chunkPause)
	defer pace.Stop()
	for range int(last / chunkPause) {
		fmt.Fprintln(w, name)
		if err := flush.Flush(); err != nil {
			return // the client is gone
		}
		select {
		case <-pace.C:
		case <-r.Context().Done():
			return
		}
	}
	fmt.Fprintln(w, downloadEnd)
}

// isBPFFS reports whether a bpf file system is mounted there.
func isBPFFS(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.BPF_FS_MAGIC
}

// pinRoot returns the bpf file system to pin in: the system's, or where it has
// none, one of the demo's own below its run directory.
func pinRoot(name string) string {
	if isBPFFS(systemBPFFS) {
		return systemBPFFS
	}
	return privateBPFFS(name)
}

// mountPinRoot mounts the demo's own bpf file system where the plan needs one.
func mountPinRoot(l *lab.Lab, name, root string) error {
	if root == systemBPFFS {
		return nil
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("make directory for bpffs: %w", err)
	}
	return l.MountBPFFS(root)
}
