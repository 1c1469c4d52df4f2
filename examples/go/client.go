// Client opens a tunnel at a CloudBridge relay, and keeps it up with heartbeats until SIGTERM.
//
// usage: client HOST PORT CA TOKEN [TENANT]
//
// Environment: HEARTBEAT, seconds between heartbeats (30); TIMEOUT, seconds to wait for an answer (5).
// Exit code: 0 after SIGTERM, 1 if the relay refuses, breaks the protocol, is silent or is lost, 2 for wrong arguments.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

const longest = 1 << 20 // bytes of a message

var (
	heartbeat = seconds("HEARTBEAT", 30)
	timeout   = seconds("TIMEOUT", 5)
	errSilent = errors.New("no message in time")
)

// An object is a message. The decoder matches the members of a struct in upper and lower case, those of a map exactly.
type object = map[string]any

// A session is a connection to a relay whose certificate is verified; one request at a time.
type session struct {
	conn  *tls.Conn
	lines chan []byte // closed at the end of the connection
	lost  error       // the reason for it, if it is no proper end
}

func dial(host, port, ca string) (*session, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool() // trusts this CA alone
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: contains no certificate", ca)
	}
	dialer := &net.Dialer{Timeout: timeout} // of the connection and the handshake together
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	conn, err := tls.DialWithDialer(dialer, "tcp", net.JoinHostPort(host, port), config)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, lines: make(chan []byte)}
	go s.read()
	return s, nil
}

// read receives lines all the time, so that the end of the connection is noticed at once.
func (s *session) read() {
	defer close(s.lines)
	scanner := bufio.NewScanner(s.conn)
	scanner.Buffer(nil, longest)
	for scanner.Scan() {
		s.lines <- append([]byte(nil), scanner.Bytes()...)
	}
	s.lost = scanner.Err()
}

// receive returns the next message, or errSilent if it is not complete after a time, or the error of the relay.
func (s *session) receive(wait time.Duration, about string) (object, error) {
	var line []byte
	select {
	case next, open := <-s.lines:
		if !open && s.lost != nil {
			return nil, fmt.Errorf("%s: the connection is lost: %w", about, s.lost)
		}
		if !open {
			return nil, fmt.Errorf("%s: the relay closed the connection", about)
		}
		line = next
	case <-time.After(wait):
		return nil, errSilent
	}
	var message object
	if !utf8.Valid(line) || json.Unmarshal(line, &message) != nil { // Unmarshal alone would repair UTF-8
		return nil, fmt.Errorf("%s: the answer is not a JSON object in UTF-8", about)
	}
	if message["type"] == "error" {
		return nil, fmt.Errorf("%s: the relay reports %v", about, message["code"])
	}
	return message, nil
}

// ask sends a request, and returns its answer of the type wanted.
func (s *session) ask(wanted string, request object) (object, error) {
	about := fmt.Sprint(request["type"])
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	s.conn.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := s.conn.Write(append(text, '\n')); err != nil {
		return nil, fmt.Errorf("%s: the connection is lost: %w", about, err)
	}
	answer, err := s.receive(timeout, about)
	if err == errSilent {
		return nil, fmt.Errorf("%s: no answer within %g seconds", about, timeout.Seconds())
	}
	if err == nil && answer["type"] != wanted {
		return nil, fmt.Errorf("%s: the answer is no %s", about, wanted)
	}
	return answer, err
}

// keep opens a tunnel, and keeps it up; it returns the reason when the tunnel is lost.
func (s *session) keep(token, tenant string) error {
	features := []string{"tls", "heartbeat", "tunnel_info"}
	hello, err := s.ask("hello_response", object{"type": "hello", "version": "1.0", "features": features})
	if err != nil {
		return err
	}
	if _, given := hello["version"].(string); !given || !texts(hello["features"]) {
		return errors.New("hello: the answer lacks version or features")
	}

	auth, err := s.ask("auth_response", object{"type": "auth", "token": token})
	if err != nil {
		return err
	}
	if _, given := auth["client_id"].(string); !given || auth["status"] != "ok" {
		return errors.New("auth: the relay does not say ok")
	}
	if auth["tenant_id"] != tenant {
		return errors.New("auth: the answer is about another tenant")
	}

	tunnel, err := s.ask("tunnel_response", object{
		"type": "tunnel_info", "tunnel_id": "tunnel_001", "tenant_id": tenant,
		"local_port": 3389, "remote_host": "192.168.1.100", "remote_port": 3389,
	})
	if err != nil {
		return err
	}
	if tunnel["status"] != "ok" {
		return errors.New("tunnel_info: the relay does not say ok")
	}
	if tunnel["tunnel_id"] != "tunnel_001" {
		return errors.New("tunnel_info: the answer is about another tunnel")
	}
	fmt.Println("tunnel_001 is up")

	for {
		if _, err := s.receive(heartbeat, "between heartbeats"); err == nil {
			return errors.New("the relay sent a message without a request")
		} else if err != errSilent {
			return err
		}
		if _, err := s.ask("heartbeat_response", object{"type": "heartbeat"}); err != nil {
			return err
		}
	}
}

func texts(value any) bool {
	array, given := value.([]any)
	for _, each := range array {
		if _, text := each.(string); !text {
			return false
		}
	}
	return given
}

// tenantOf returns the tenant that a token names, or an empty string if it is not a JWT.
func tenantOf(token string) string {
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return ""
	}
	var claims struct {
		Tenant string `json:"tenant_id"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Tenant
}

func seconds(name string, usual float64) time.Duration {
	if given, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil {
		usual = given
	}
	return time.Duration(usual * float64(time.Second))
}

func main() {
	if len(os.Args) != 5 && len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: client HOST PORT CA TOKEN [TENANT]")
		os.Exit(2)
	}
	host, port, ca, token := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	tenant := tenantOf(token)
	if len(os.Args) == 6 {
		tenant = os.Args[5]
	}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		os.Exit(0)
	}()

	s, err := dial(host, port, ca)
	if err == nil {
		err = s.keep(token, tenant)
	}
	fmt.Fprintln(os.Stderr, "client:", err)
	os.Exit(1)
}
