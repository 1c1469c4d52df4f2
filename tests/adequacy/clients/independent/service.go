// relayd: a relay client as a service, with reconnection and JSON logs. Standard library only (Go 1.19).
//
// usage: service HOST PORT CA_FILE TOKEN
//
// Heartbeat each second (HEARTBEAT), time-outs of 5 s for everything, 5 reconnections with delays 0.5 s, 1 s, ... 8 s;
// the count starts again after 60 s of a good link.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	timeout    = 5 * time.Second
	maxRetries = 5
	firstDelay = 500 * time.Millisecond
	maxDelay   = 8 * time.Second
	stable     = 60 * time.Second
	maxLine    = 1 << 20
)

var retryable = map[string]bool{
	"rate_limit_exceeded":  true,
	"server_unavailable":   true,
	"data_transfer_failed": true,
}

type tunnel struct {
	ID         string `json:"tunnel_id"`
	Tenant     string `json:"tenant_id"`
	LocalPort  int    `json:"local_port"`
	RemoteHost string `json:"remote_host"`
	RemotePort int    `json:"remote_port"`
}

type message map[string]interface{}

func (m message) str(name string) (string, bool) {
	s, ok := m[name].(string)
	return s, ok
}

type refusedError struct{ step, code string }

func (e *refusedError) Error() string { return e.step + " refused: " + e.code }

type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

type client struct {
	host, port string
	token      string
	tenant     string
	tls        *tls.Config
	tunnels    []tunnel
	heartbeat  time.Duration
	upSince    time.Time
	sessions   int
}

func logJSON(level, msg string, fields map[string]interface{}) {
	rec := map[string]interface{}{"time": time.Now().UTC().Format(time.RFC3339Nano), "level": level, "msg": msg}
	for k, v := range fields {
		rec[k] = v
	}
	b, _ := json.Marshal(rec)
	fmt.Println(string(b))
}

func tenantOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("token is not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return "", errors.New("token is not a JWT")
	}
	var claims struct {
		Sub    string `json:"sub"`
		Tenant string `json:"tenant_id"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return "", errors.New("token is not a JWT")
	}
	return claims.Tenant, nil
}

type link struct {
	conn net.Conn
	r    *bufio.Reader
}

func (l *link) send(v interface{}) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.conn.SetWriteDeadline(time.Now().Add(timeout))
	_, err = l.conn.Write(append(b, '\n'))
	return err
}

func (l *link) receive() (message, error) {
	l.conn.SetReadDeadline(time.Now().Add(timeout))
	for {
		line, err := l.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return nil, errors.New("answer too long")
		}
		if err == io.EOF {
			return nil, errors.New("closed by the relay")
		}
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if !utf8.Valid(line) {
			return nil, errors.New("answer is not UTF-8")
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil || m == nil {
			return nil, errors.New("answer is not a JSON object")
		}
		return m, nil
	}
}

func (l *link) ask(step string, request interface{}, kind string) (message, error) {
	if err := l.send(request); err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	m, err := l.receive()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	t, _ := m.str("type")
	if t == "error" {
		code, ok := m.str("code")
		if !ok {
			return nil, fmt.Errorf("%s: error without a code", step)
		}
		return nil, &refusedError{step, code}
	}
	if t != kind {
		return nil, fmt.Errorf("%s: unexpected answer %.80q", step, t)
	}
	if kind == "auth_response" || kind == "tunnel_response" {
		status, _ := m.str("status")
		if status == "error" {
			code, ok := m.str("code")
			if !ok {
				code, _ = m.str("error")
			}
			return nil, &refusedError{step, code}
		}
		if status != "ok" {
			return nil, fmt.Errorf("%s: status %.80q", step, status)
		}
	}
	return m, nil
}

func (c *client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := tls.Dialer{Config: c.tls}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(c.host, c.port))
	if err != nil {
		var (
			unknown x509.UnknownAuthorityError
			name    x509.HostnameError
			invalid x509.CertificateInvalidError
		)
		if errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) {
			return nil, &fatalError{err}
		}
		return nil, err
	}
	return conn, nil
}

func (c *client) session(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	c.sessions++
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ctx.Done():
			conn.Close()
		case <-done:
		}
	}()
	l := &link{conn, bufio.NewReaderSize(conn, maxLine)}

	m, err := l.ask("hello", message{"type": "hello", "version": "1.0",
		"features": []string{"tls", "heartbeat", "tunnel_info"}}, "hello_response")
	if err != nil {
		return err
	}
	if _, ok := m.str("version"); !ok {
		return errors.New("hello_response: bad version")
	}
	features, ok := m["features"].([]interface{})
	if !ok {
		return errors.New("hello_response: bad features")
	}
	for _, f := range features {
		if _, ok := f.(string); !ok {
			return errors.New("hello_response: bad features")
		}
	}

	m, err = l.ask("auth", message{"type": "auth", "token": c.token}, "auth_response")
	if err != nil {
		return err
	}
	id, ok := m.str("client_id")
	if !ok {
		return errors.New("auth_response: no client_id")
	}
	if t, ok := m.str("tenant_id"); !ok || t != c.tenant {
		return errors.New("auth_response: another tenant")
	}
	logJSON("info", "authenticated", map[string]interface{}{"client_id": id})

	for _, t := range c.tunnels {
		t.Tenant = c.tenant
		m, err = l.ask("tunnel_info", struct {
			Type string `json:"type"`
			tunnel
		}{"tunnel_info", t}, "tunnel_response")
		if err != nil {
			return err
		}
		if id, ok := m.str("tunnel_id"); !ok || id != t.ID {
			return errors.New("tunnel_response: another tunnel")
		}
		logJSON("info", "tunnel up", map[string]interface{}{"tunnel_id": t.ID})
	}
	c.upSince = time.Now()

	tick := time.NewTicker(c.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		start := time.Now()
		if _, err := l.ask("heartbeat", message{"type": "heartbeat"}, "heartbeat_response"); err != nil {
			return err
		}
		logJSON("debug", "heartbeat", map[string]interface{}{"ms": time.Since(start).Milliseconds()})
	}
}

func (c *client) run(ctx context.Context) int {
	delay, retries := firstDelay, 0
	for {
		c.upSince = time.Time{}
		err := c.session(ctx)
		if ctx.Err() != nil {
			logJSON("info", "stopped", nil)
			return 0
		}
		var (
			refused *refusedError
			fatal   *fatalError
		)
		if errors.As(err, &refused) {
			logJSON("error", "refused", map[string]interface{}{"step": refused.step, "code": refused.code})
			if !retryable[refused.code] {
				return 1
			}
		} else {
			logJSON("error", "session ended", map[string]interface{}{"error": err.Error()})
			if errors.As(err, &fatal) {
				return 1
			}
		}
		if !c.upSince.IsZero() && time.Since(c.upSince) > stable {
			delay, retries = firstDelay, 0
		}
		if retries >= maxRetries {
			logJSON("error", "giving up", map[string]interface{}{"retries": retries})
			return 1
		}
		retries++
		logJSON("info", "reconnecting", map[string]interface{}{"delay_ms": delay.Milliseconds(), "retry": retries})
		select {
		case <-ctx.Done():
			return 0
		case <-time.After(delay):
		}
		if delay *= 2; delay > maxDelay {
			delay = maxDelay
		}
	}
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: service HOST PORT CA_FILE TOKEN")
		os.Exit(2)
	}
	pem, err := os.ReadFile(os.Args[3])
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		fmt.Fprintln(os.Stderr, "cannot read the CA file")
		os.Exit(2)
	}
	tenant, err := tenantOf(os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	seconds := 1.0
	if v, err := strconv.ParseFloat(os.Getenv("HEARTBEAT"), 64); err == nil && v > 0 {
		seconds = v
	}
	c := &client{
		host: os.Args[1], port: os.Args[2], token: os.Args[4], tenant: tenant,
		tls:       &tls.Config{RootCAs: pool, ServerName: os.Args[1], MinVersion: tls.VersionTLS13},
		heartbeat: time.Duration(seconds * float64(time.Second)),
		tunnels:   []tunnel{{ID: "tunnel_001", LocalPort: 3389, RemoteHost: "192.168.1.100", RemotePort: 3389}},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(c.run(ctx))
}
