// Tests of the client against the simulator, a child process: go test .
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// relay is the line of JSON that the simulator prints when it is ready.
var relay struct {
	Host    string
	Port    int
	CA      string `json:"ca_file"`
	Control string
	Tokens  map[string]string
}

func TestMain(m *testing.M) {
	if os.Getenv("RUN_CLIENT") != "" { // the tests start themselves as the client
		main()
	}
	simulator := exec.Command("cbspec", "simulate", "--port", "0", "--control", "0", "--json", "--exit-with-parent")
	simulator.Stderr = os.Stderr
	_, err := simulator.StdinPipe() // its end ends the simulator, however this process ends
	must(err)
	output, err := simulator.StdoutPipe()
	must(err)
	must(simulator.Start())
	line, err := bufio.NewReader(output).ReadBytes('\n')
	must(err)
	must(json.Unmarshal(line, &relay))
	os.Exit(m.Run())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// call sends a request to the control API, and returns its answer.
func call(t *testing.T, method, path, body string) (answer any) {
	t.Helper()
	request, err := http.NewRequest(method, relay.Control+path, strings.NewReader(body))
	must(err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	must(err)
	defer response.Body.Close()
	must(json.NewDecoder(response.Body).Decode(&answer))
	if response.StatusCode >= 300 {
		t.Fatal(answer)
	}
	return answer
}

func client(token, heartbeat string) *exec.Cmd {
	command := exec.Command(os.Args[0], relay.Host, fmt.Sprint(relay.Port), relay.CA, token)
	command.Env = append(os.Environ(), "RUN_CLIENT=yes", "HEARTBEAT="+heartbeat)
	return command
}

// fails runs a client that must fail with this message, and must not show the token.
func fails(t *testing.T, token, heartbeat, message string) {
	t.Helper()
	command := client(token, heartbeat)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	must(command.Start())
	defer time.AfterFunc(time.Minute, func() { command.Process.Kill() }).Stop()
	command.Wait()
	if command.ProcessState.ExitCode() != 1 || !strings.Contains(output.String(), message) {
		t.Errorf("exit code %d, %q lacks %q", command.ProcessState.ExitCode(), &output, message)
	}
	if strings.Contains(output.String(), "eyJ") {
		t.Error("the token is shown")
	}
}

func TestStaysUpUntilSigterm(t *testing.T) {
	command := client(relay.Tokens["tenant-001"], "30")
	output, err := command.StdoutPipe()
	must(err)
	must(command.Start())
	defer command.Process.Kill()
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "tunnel_001 is up\n" {
		t.Fatalf("%q", line)
	}
	must(command.Process.Signal(syscall.SIGTERM))
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

func TestShowsTheCodeOfAnError(t *testing.T) {
	for _, row := range []struct {
		message string
		nth     int
		code    string
	}{
		{"hello", 1, "rate_limit_exceeded"},
		{"auth", 1, "tenant_not_found"},
		{"tunnel_info", 1, "buffer_pool_exhausted"},
		{"heartbeat", 3, "server_unavailable"},
	} {
		fault := `{"kind": "error", "code": %q, "when": {"message": %q, "nth": %d}}`
		call(t, "POST", "/faults", fmt.Sprintf(fault, row.code, row.message, row.nth))
		fails(t, relay.Tokens["tenant-001"], "0.01", row.message+": the relay reports "+row.code)
	}
}

func TestShowsThatItsTokenIsRefused(t *testing.T) {
	expired := call(t, "POST", "/tokens", `{"bad": "expired-11-minutes"}`).(object)["token"].(string)
	fails(t, expired, "30", "auth: the relay reports invalid_token")
}

func TestNoticesAnUnansweredHeartbeat(t *testing.T) {
	call(t, "POST", "/faults", `{"kind": "drop", "when": {"message": "heartbeat_response", "times": 1}}`)
	fails(t, relay.Tokens["tenant-001"], "0.01", "heartbeat: no answer within 5 seconds")
}

func TestNoticesTheEndOfTheConnectionBetweenHeartbeats(t *testing.T) {
	call(t, "POST", "/faults", `{"kind": "close", "when": {"message": "tunnel_response", "times": 1}}`)
	fails(t, relay.Tokens["tenant-001"], "1000", "between heartbeats: the relay closed the connection")
}

func TestSendsNoTokenToARelayThatItCannotVerify(t *testing.T) {
	before := call(t, "GET", "/health", "").(object)["entries"]
	call(t, "POST", "/faults", `{"kind": "certificate-unknown-ca", "when": {"times": 1}}`)
	fails(t, relay.Tokens["tenant-001"], "30", "certificate signed by unknown authority")
	for _, entry := range call(t, "GET", fmt.Sprintf("/transcript?since=%v", before), "").([]any) {
		if entry.(object)["type"] == "auth" {
			t.Error("a token was sent")
		}
	}
}
