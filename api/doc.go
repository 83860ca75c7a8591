// Package api is how the daemon is looked at and steered from outside: HTTP
// with JSON on a unix socket.
//
// It owns the JSON types, the socket (who holds it, who may write), the server
// and the client of the command line. The server gives out what its Source
// hands it and decides nothing; it never touches the director, a datapath or a
// map. Names in JSON are snake_case, times are RFC 3339, lengths of time are
// seconds, addresses are text.
//
//	GET  /v1/status    Status
//	GET  /v1/services  Services
//	GET  /v1/flows     Flows, written as they are read
//	GET  /v1/checks    Checks
//	GET  /v1/vrrp      VRRP
//	GET  /v1/config    Config
//	POST /v1/reload    Load; 422 when the new configuration was refused
//	POST /v1/stop      StopRequest in, StopResult out; answered when it is done
//
// Every error is {"error": "..."} with a matching status code. Whoever can open
// the socket may read. To write, the peer must be root or the daemon's own user
// by SO_PEERCRED; each attempt is logged with its uid and pid. Requests are
// bounded in size, time and number.
//
// Tests run a real server and client over a socket in a temporary directory,
// and tables over the merge of what is wanted with what runs.
package api
