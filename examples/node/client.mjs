// Opens a tunnel at a CloudBridge relay, and keeps it up with heartbeats until SIGTERM.
//
// usage: node client.mjs HOST PORT CA TOKEN [TENANT]
//
// Environment: HEARTBEAT, seconds between heartbeats (30); TIMEOUT, seconds to wait for an answer (5).
// Exit code: 0 after SIGTERM, 1 if the relay refuses, breaks the protocol, is silent or is lost, 2 for wrong arguments.
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import tls from "node:tls";

const HEARTBEAT = Number(process.env.HEARTBEAT ?? 30);
const TIMEOUT = Number(process.env.TIMEOUT ?? 5);
const LONGEST = 1 << 20; // characters of a message

/** Connects to a relay, and verifies its certificate. */
function connect(host, port, ca) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host,
      port,
      ca: readFileSync(ca), // trusts this CA alone
      minVersion: "TLSv1.3",
      rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
      servername: isIP(host) ? "" : host,
    });
    const late = new Error(`no connection within ${TIMEOUT} seconds`);
    const timer = setTimeout(() => socket.destroy(late), TIMEOUT * 1000);
    socket.on("error", reject);
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      resolve(new Session(socket));
    });
  });
}

/** A connection to a relay; one request at a time. */
class Session {
  #socket;
  #lines = [];
  #rest = "";
  #lost = null; // the reason for the end of the connection
  #wake = () => {};

  constructor(socket) {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    this.#socket = socket;
    socket.on("data", (data) => {
      try {
        this.#rest += decoder.decode(data, { stream: true });
      } catch {
        return this.#end("the relay sent bytes that are not UTF-8");
      }
      const lines = this.#rest.split("\n");
      this.#rest = lines.pop();
      this.#lines.push(...lines);
      if (this.#rest.length > LONGEST) this.#end("the answer is too long");
      this.#wake();
    });
    socket.on("error", (error) => this.#end(`the connection is lost: ${error.message}`));
    socket.on("end", () => this.#end("the relay closed the connection"));
  }

  #end(reason) {
    this.#lost ??= reason;
    this.#socket.destroy();
    this.#wake();
  }

  /** Returns the next message, or null if it is not complete after some seconds; throws the error of the relay. */
  async receive(seconds, about) {
    if (this.#lines.length === 0 && this.#lost === null) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        this.#wake = () => {
          if (this.#lines.length === 0 && this.#lost === null) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#lines.length === 0) {
      check(this.#lost === null, `${about}: ${this.#lost}`);
      return null;
    }
    let message;
    try {
      message = JSON.parse(this.#lines.shift());
    } catch {
      // reported below; the error of JSON.parse repeats the text
    }
    check(message instanceof Object && !Array.isArray(message), `${about}: the answer is not a JSON object`);
    check(message.type !== "error", `${about}: the relay reports ${message.code}`);
    return message;
  }

  /** Sends a request, and returns its answer, which must be of the type wanted. */
  async ask(wanted, request) {
    this.#socket.write(`${JSON.stringify(request)}\n`);
    const answer = await this.receive(TIMEOUT, request.type);
    check(answer !== null, `${request.type}: no answer within ${TIMEOUT} seconds`);
    check(answer.type === wanted, `${request.type}: the answer is no ${wanted}`);
    return answer;
  }
}

/** Opens a tunnel, and keeps it up; throws the reason when it is lost. */
async function keep(session, token, tenant) {
  const features = ["tls", "heartbeat", "tunnel_info"];
  const hello = await session.ask("hello_response", { type: "hello", version: "1.0", features });
  const texts = Array.isArray(hello.features) && hello.features.every((each) => typeof each === "string");
  check(texts && typeof hello.version === "string", "hello: the answer lacks version or features");

  const auth = await session.ask("auth_response", { type: "auth", token });
  check(auth.status === "ok" && typeof auth.client_id === "string", "auth: the relay does not say ok");
  check(auth.tenant_id === tenant, "auth: the answer is about another tenant");

  const tunnel = await session.ask("tunnel_response", {
    type: "tunnel_info",
    tunnel_id: "tunnel_001",
    tenant_id: tenant,
    local_port: 3389,
    remote_host: "192.168.1.100",
    remote_port: 3389,
  });
  check(tunnel.status === "ok", "tunnel_info: the relay does not say ok");
  check(tunnel.tunnel_id === "tunnel_001", "tunnel_info: the answer is about another tunnel");
  console.log("tunnel_001 is up");

  // Waiting for messages shows the end of the connection at once.
  while ((await session.receive(HEARTBEAT, "between heartbeats")) === null) {
    await session.ask("heartbeat_response", { type: "heartbeat" });
  }
  check(false, "the relay sent a message without a request");
}

function check(good, problem) {
  if (!good) throw new Error(problem);
}

/** Returns the tenant that a token names. */
function tenantOf(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url")).tenant_id;
}

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
const [host, port, ca, token, given] = process.argv.slice(2);
let tenant = given;
try {
  tenant ??= tenantOf(token);
} catch {
  console.error("usage: node client.mjs HOST PORT CA TOKEN [TENANT]");
  process.exit(2);
}
try {
  await keep(await connect(host, port, ca), token, tenant);
} catch (error) {
  console.error(`client: ${error.message}`);
  process.exit(1);
}
