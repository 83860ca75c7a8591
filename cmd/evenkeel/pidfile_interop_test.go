//go:build interop

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
)

// pidsOfEach runs keepalived's VRRP with each line of its input at the head of a
// configuration, and prints the pid files that it makes.
const pidsOfEach = `
mount -t tmpfs tmpfs /run && mkdir /run/netns || exit 1
links='ip link add eth0 type veth peer name peer0 && ip link set eth0 up && ip link set peer0 up && ip addr add 192.0.2.1/24 dev eth0'
sh -c "$links"
ip netns add blue && ip netns exec blue sh -c "$links"
while read -r head; do
	printf '%s\n' "$head" | tr ';' '\n' > /run/k.conf
	printf 'vrrp_instance a {\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {\n 192.0.2.9\n }\n}\n' >> /run/k.conf
	"$1" -n -l -P -f /run/k.conf > /run/log 2>&1 &
	k=$!
	for i in $(seq 600); do
		[ "$(find /run -name '*.pid' | wc -l)" -ge 2 ] && break
		sleep 0.05
	done
	echo "$head|"$(find /run -name '*.pid')
	kill $k
	wait $k
	find /run -name '*.pid' -delete
done
`

// TestPIDFilesAsKeepalived: pid files are where keepalived has them.
func TestPIDFilesAsKeepalived(t *testing.T) {
	keepalived := labtest.Keepalived(t, "2.2")
	heads := map[string]model.Global{
		"":                              {},
		"instance x":                    {Instance: "x"},
		"use_pid_dir":                   {UsePIDDir: true},
		"use_pid_dir;instance x":        {Instance: "x", UsePIDDir: true},
		"net_namespace blue":            {NetNamespace: "blue"},
		"net_namespace blue;instance x": {NetNamespace: "blue", Instance: "x"},
	}
	var input, want []string
	for head, g := range heads {
		input = append(input, head)
		files := []string{pidPath("pid", g, g.NetNamespace), pidPath("vrrp_pid", g, g.NetNamespace)}
		slices.Sort(files)
		want = append(want, head+"|"+strings.Join(files, " "))
	}
	cmd := exec.Command("unshare", "--net", "--mount", "sh", "-c", pidsOfEach, "sh", keepalived)
	cmd.Stdin = strings.NewReader(strings.Join(input, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run keepalived: %v", err)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		head, files, _ := strings.Cut(strings.TrimSpace(line), "|")
		list := strings.Fields(files)
		slices.Sort(list)
		got = append(got, head+"|"+strings.Join(list, " "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("pid files (-keepalived +ours):\n%s", diff)
	}
}
