package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// someChecks have all that a check can show.
func someChecks() api.Checks {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	refused := api.Try{At: at, TookSeconds: 0.00125, Result: "failed", Error: "connection refused", From: "10.0.0.9 on eth1", Sent: "connection request"}
	status := api.Try{
		At: at, TookSeconds: 0.25, Result: "failed", Error: "status 503, want 200-299", Path: "/health",
		Sent: `GET /health HTTP/1.0\r\n\r\n`, Received: `HTTP/1.0 503 No\r\n`,
	}
	return api.Checks{InFlight: 2, MaxInFlight: 1000, Waiting: 1, Servers: []api.CheckedServer{
		{Service: "[192.0.2.10]:tcp:80", Server: "10.0.0.1:80", Up: true, Since: at, Checks: []api.Check{
			{Kind: "TCP_CHECK", Position: "k.conf:9:9", Object: "10.0.0.1:80", Up: true, Since: at, Due: at, Tries: 3, Successes: 2, Failed: 1,
				Last: &api.Try{At: at, TookSeconds: 0.001, Result: "succeeded"}, LastFailure: &refused},
			{Kind: "SMTP_CHECK", Position: "k.conf:12:9", Object: "10.0.0.1:25", Up: true, Since: at, Running: true},
		}},
		{Service: "[192.0.2.10]:tcp:80", Server: "10.0.0.2:80", Since: at, Reason: "HTTP_GET to 10.0.0.2:80 /health: status 503, want 200-299", Checks: []api.Check{
			{Kind: "HTTP_GET", Position: "k.conf:20:9", Object: "10.0.0.2:80", Since: at, Due: at, Tries: 5, Successes: 1, Failed: 3, Failures: 1, Last: &status, LastFailure: &status},
		}},
		{Service: "FWM 7", Server: "10.0.0.3:0", Up: true, Since: at, Checks: []api.Check{}},
		{Service: "FWM 7", Server: "10.0.0.4:0", Up: true, Suspended: true, Since: at, Checks: []api.Check{
			{Kind: "BFD_CHECK", Position: "k.conf:30:9", Object: "bfd_instance b", Up: true, Since: at, Due: at, Tries: 1,
				Last: &api.Try{At: at, Result: "not tried", Error: "BFD_CHECK is not supported yet"}},
		}},
	}}
}

func TestPrintChecks(t *testing.T) {
	for name, o := range map[string]checksOptions{"checks.txt": {}, "checks-down.txt": {down: true}, "checks.json": {json: true}} {
		var out bytes.Buffer
		if err := (&env{stdout: &out}).listChecks(someChecks(), o); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
}
