// Tests of the client against the simulator, a child process: node --test
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const CLIENT = fileURLToPath(new URL("client.mjs", import.meta.url));
const SIMULATE = ["simulate", "--port", "0", "--control", "0", "--json", "--exit-with-parent"];

let simulator;
let relay; // the line of JSON that the simulator prints when it is ready

before(async () => {
  simulator = spawn("cbspec", SIMULATE, { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: simulator.stdout }), "line");
  relay = JSON.parse(line);
});

// The end of its standard input ends the simulator, however this process ends.
after(() => simulator.stdin.end());

/** Calls the control API, and returns its answer. */
async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(relay.control + path, { method, headers, body: body && JSON.stringify(body) });
  const found = await answer.json();
  assert.ok(answer.ok, found.error);
  return found;
}

const fault = (kind, parameters, when) => call("POST", "/faults", { kind, ...parameters, when });

function start(token = relay.tokens["tenant-001"], heartbeat = "0.01") {
  const env = { ...process.env, HEARTBEAT: heartbeat };
  return spawn(process.execPath, [CLIENT, relay.host, relay.port, relay.ca_file, token], { env, timeout: 60_000 });
}

/** Returns the message of a client that must fail, and must not show the token. */
async function failure(client) {
  const [said, errors, [code]] = await Promise.all([text(client.stdout), text(client.stderr), once(client, "exit")]);
  assert.equal(code, 1, errors);
  assert.doesNotMatch(said + errors, /eyJ/);
  return errors;
}

test("it stays up until SIGTERM", async () => {
  const client = start();
  const [line] = await once(createInterface({ input: client.stdout }), "line");
  assert.equal(line, "tunnel_001 is up");
  client.kill("SIGTERM");
  assert.deepEqual(await once(client, "exit"), [0, null]);
});

for (const [message, nth, code] of [
  ["hello", 1, "rate_limit_exceeded"],
  ["auth", 1, "tenant_not_found"],
  ["tunnel_info", 1, "buffer_pool_exhausted"],
  ["heartbeat", 3, "server_unavailable"],
]) {
  test(`it shows ${code} in answer to ${message}`, async () => {
    await fault("error", { code }, { message, nth });
    assert.equal(await failure(start()), `client: ${message}: the relay reports ${code}\n`);
  });
}

test("it shows that its token is refused", async () => {
  const { token } = await call("POST", "/tokens", { bad: "expired-11-minutes" });
  assert.equal(await failure(start(token)), "client: auth: the relay reports invalid_token\n");
});

test("it notices an unanswered heartbeat", async () => {
  await fault("drop", {}, { message: "heartbeat_response", times: 1 });
  assert.equal(await failure(start()), "client: heartbeat: no answer within 5 seconds\n");
});

test("it notices the end of the connection between heartbeats", async () => {
  await fault("close", {}, { message: "tunnel_response", times: 1 });
  const client = start(undefined, "1000");
  assert.equal(await failure(client), "client: between heartbeats: the relay closed the connection\n");
});

test("it sends no token to a relay that it cannot verify", async () => {
  const { entries } = await call("GET", "/health");
  await fault("certificate-unknown-ca", {}, { times: 1 });
  assert.match(await failure(start()), /unable to verify the first certificate/);
  const sent = await call("GET", `/transcript?since=${entries}`);
  assert.equal(sent.filter((entry) => entry.type === "auth").length, 0);
});
