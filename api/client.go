package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/loader"
)

// ErrNoDaemon marks the errors of a client that found no daemon at its
// socket: no socket, or one that nobody listens on.
var ErrNoDaemon = errors.New("no daemon answers")

// ErrRefused marks the errors of a client whose user may not do what it asked.
var ErrRefused = errors.New("permission denied")

// Client asks the daemon at one socket. Its methods may be called from many
// goroutines at once. Their errors wrap ErrNoDaemon or ErrRefused where that is
// the cause.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Status returns the daemon's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status")
}

// Services returns every service with its servers.
func (c *Client) Services(ctx context.Context) (Services, error) {
	return get[Services](ctx, c, "/v1/services")
}

// Checks returns the state of all checks.
func (c *Client) Checks(ctx context.Context) (Checks, error) {
	return get[Checks](ctx, c, "/v1/checks")
}

// VRRP returns the election.
func (c *Client) VRRP(ctx context.Context) (VRRP, error) {
	return get[VRRP](ctx, c, "/v1/vrrp")
}

// Config returns what the configuration said.
func (c *Client) Config(ctx context.Context) (Config, error) {
	return get[Config](ctx, c, "/v1/config")
}

// Explain asks what would become of a packet.
func (c *Client) Explain(ctx context.Context, p loader.Packet) (loader.Explanation, error) {
	q := url.Values{
		"protocol": {strings.ToLower(p.Protocol.String())}, "source": {p.Source.String()}, "destination": {p.Destination.String()},
		"flags": {p.Flags}, "interface": {p.Interface},
	}
	return get[loader.Explanation](ctx, c, "/v1/explain?"+q.Encode())
}

// Flows calls yield with each flow as it arrives, until it returns false.
func (c *Client) Flows(ctx context.Context, yield func(Flow) bool) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/flows", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	if err := readFlows(json.NewDecoder(resp.Body), yield); err != nil {
		return fmt.Errorf("read flows: %w", err)
	}
	return nil
}

// Reload makes the daemon read its configuration again. A refused one is no
// error: the Load says so.
func (c *Client) Reload(ctx context.Context) (Load, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/reload", nil)
	if err != nil {
		return Load{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnprocessableEntity {
		return Load{}, c.refusal(resp)
	}
	return decode[Load](resp.Body)
}

// Diff asks what a reload of a file would do, of the daemon's own where file is
// empty. A file that would be refused is no error: the Diff says so.
func (c *Client) Diff(ctx context.Context, file string) (Diff, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/diff", DiffRequest{File: file})
	if err != nil {
		return Diff{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Diff{}, c.refusal(resp)
	}
	return decode[Diff](resp.Body)
}

// Move moves a service to another datapath. A refused move is no error: the Move
// says so.
func (c *Client) Move(ctx context.Context, q MoveRequest) (Move, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/move", q)
	if err != nil {
		return Move{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Move{}, c.refusal(resp)
	}
	return decode[Move](resp.Body)
}

// Stop stops the daemon and waits until its socket is gone or ctx ends.
func (c *Client) Stop(ctx context.Context, keep bool) (StopResult, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/stop", StopRequest{Keep: keep})
	if err != nil {
		return StopResult{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return StopResult{}, c.refusal(resp)
	}
	result, err := decode[StopResult](resp.Body)
	if err != nil {
		return StopResult{}, err
	}
	return result, c.gone(ctx)
}

// gone returns when nobody listens on the socket any more.
func (c *Client) gone(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the daemon to end: %w", ctx.Err())
		}
		if err != nil {
			return nil
		}
		conn.Close()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var none T
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return none, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return none, c.refusal(resp)
	}
	return decode[T](resp.Body)
}

func decode[T any](body io.Reader) (T, error) {
	var value T
	if err := json.NewDecoder(body).Decode(&value); err != nil {
		return value, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return value, nil
}

func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		text = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://evenkeel"+path, text)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return resp, nil
}

// explain says in one line what a failed connection means.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("ask %s: %w; start one with evenkeel run, or name its socket with --socket", c.socket, ErrNoDaemon)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ask %s: %w; ask as root or as a member of the socket's group", c.socket, ErrRefused)
	}
	return fmt.Errorf("ask %s: %w", c.socket, err)
}

// refusal returns the error that an answer holds.
func (c *Client) refusal(resp *http.Response) error {
	var body errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&body); err != nil || body.Error == "" {
		body.Error = resp.Status
	}
	if resp.StatusCode == http.StatusForbidden {
		return fmt.Errorf("ask %s: %w: %s", c.socket, ErrRefused, body.Error)
	}
	return fmt.Errorf("ask %s: %s", c.socket, body.Error)
}

// readFlows reads Flows token by token, so that the list is never held as a
// whole.
func readFlows(dec *json.Decoder, yield func(Flow) bool) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		switch name {
		case "flows":
			more, err := readFlowList(dec, yield)
			if err != nil || !more {
				return err
			}
		case "error":
			var text string
			if err := dec.Decode(&text); err != nil {
				return err
			}
			return errors.New(text)
		default:
			var ignored json.RawMessage
			if err := dec.Decode(&ignored); err != nil {
				return err
			}
		}
	}
	return expect(dec, json.Delim('}'))
}

// readFlowList reports whether the reader wants more.
func readFlowList(dec *json.Decoder, yield func(Flow) bool) (bool, error) {
	if err := expect(dec, json.Delim('[')); err != nil {
		return false, err
	}
	for dec.More() {
		var f Flow
		if err := dec.Decode(&f); err != nil {
			return false, err
		}
		if !yield(f) {
			return false, nil
		}
	}
	return true, expect(dec, json.Delim(']'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("got %v, want %v", token, want)
	}
	return nil
}
