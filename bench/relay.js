// A relay's four exchanges on Node's `tls`, and no more: no limits, no metrics, hardly any validation.
// node relay.js CERTIFICATE SECRET
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const tls = require("node:tls");

const [pem, secret] = [fs.readFileSync(process.argv[2]), process.argv[3]];
const features = ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"];

function claims(token) {
  const [header, payload, signature] = token.split(".");
  if (JSON.parse(Buffer.from(header, "base64url")).alg !== "HS256") throw new Error("algorithm");
  const wanted = crypto.createHmac("sha256", secret).update(`${header}.${payload}`).digest();
  if (!crypto.timingSafeEqual(wanted, Buffer.from(signature, "base64url"))) throw new Error("signature");
  const said = JSON.parse(Buffer.from(payload, "base64url"));
  if (said.exp * 1000 <= Date.now()) throw new Error("expired");
  return said;
}

function answer(message) {
  switch (message.type) {
    case "hello":
      return { type: "hello_response", version: "1.0", features };
    case "auth": {
      const said = claims(message.token);
      return { type: "auth_response", status: "ok", client_id: said.sub, tenant_id: said.tenant_id };
    }
    case "tunnel_info":
      return { type: "tunnel_response", status: "ok", tunnel_id: message.tunnel_id };
    case "heartbeat":
      return { type: "heartbeat_response" };
    default:
      return { type: "error", code: "unknown_message_type", message: "the message is of no known type" };
  }
}

const server = tls.createServer({ key: pem, cert: pem, minVersion: "TLSv1.3" }, (socket) => {
  let rest = "";
  socket.setNoDelay(true);
  socket.setEncoding("utf8");
  socket.on("error", () => {});
  socket.on("data", (data) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      try {
        socket.write(JSON.stringify(answer(JSON.parse(line))) + "\n");
      } catch (error) {
        socket.end(JSON.stringify({ type: "error", code: "invalid_token", message: error.message }) + "\n");
      }
    }
  });
});

server.listen(0, "127.0.0.1", 1024, () => console.log(JSON.stringify({ port: server.address().port })));
