#!/usr/bin/env node
'use strict';
// service.js HOST PORT CA_FILE TOKEN - relay client as a service (Node 20, no packages).
// Heartbeat every second (HEARTBEAT). Every failure ends it with code 1; the service manager starts it again.
// Time-outs: 5 s for connecting and for every answer. TRANSPORT=websocket uses wss (path WS_PATH, "/").
const tls = require('node:tls');
const net = require('node:net');
const fs = require('node:fs');
const crypto = require('node:crypto');

const TIMEOUT = 5000;
const HEARTBEAT = Number(process.env.HEARTBEAT || 1) * 1000;
const MAX = 1 << 20;
const TUNNEL = { tunnel_id: 'rdp-main', local_port: 3389, remote_host: '192.168.1.100', remote_port: 3389 };
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const [host, port, caFile, token] = process.argv.slice(2);
const show = (v) => JSON.stringify(String(v).slice(0, 200));

function finish(code, text) {
  if (text) console.error(`service: ${text}`);
  process.exit(code);
}
const fail = (text) => finish(1, text);

process.on('SIGTERM', () => finish(0));
process.on('SIGINT', () => finish(0));
process.on('uncaughtException', (err) => fail(`internal: ${err.message}`));

function tenantOf(jwt) {
  try {
    const claims = JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString('utf8'));
    return typeof claims.tenant_id === 'string' ? claims.tenant_id : '';
  } catch {
    return fail('the token is not a JWT');
  }
}

function parse(bytes) {
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail('answer is not UTF-8');
  }
  let msg;
  try {
    msg = JSON.parse(text);
  } catch {
    return fail('answer is not JSON');
  }
  if (msg === null || typeof msg !== 'object' || Array.isArray(msg)) return fail('answer is not an object');
  return msg;
}

// --- transports: deliver(bytes) is called with each message ------------------------------------------------------
function lineTransport(socket, deliver) {
  let buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    let cut;
    while ((cut = buffer.indexOf(10)) >= 0) {
      const line = buffer.subarray(0, cut);
      buffer = buffer.subarray(cut + 1);
      if (line.some((b) => b !== 32 && b !== 9 && b !== 13)) deliver(line);
    }
    if (buffer.length > MAX) fail('answer too long');
  });
  return { send: (text) => socket.write(text + '\n') };
}

function webSocketTransport(socket, deliver, opened) {
  const key = crypto.randomBytes(16).toString('base64');
  let buffer = Buffer.alloc(0);
  let open = false;
  let parts = null;

  function frame(opcode, payload) {
    const n = payload.length;
    const head = n < 126 ? Buffer.alloc(2) : n < 65536 ? Buffer.alloc(4) : Buffer.alloc(10);
    head[0] = 0x80 | opcode;
    if (n < 126) head[1] = 0x80 | n;
    else if (n < 65536) { head[1] = 0x80 | 126; head.writeUInt16BE(n, 2); }
    else { head[1] = 0x80 | 127; head.writeBigUInt64BE(BigInt(n), 2); }
    const mask = crypto.randomBytes(4);
    const body = Buffer.from(payload);
    for (let i = 0; i < n; i++) body[i] ^= mask[i & 3];
    socket.write(Buffer.concat([head, mask, body]));
  }

  function handshake() {
    const end = buffer.indexOf('\r\n\r\n');
    if (end < 0) { if (buffer.length > 16384) fail('handshake too long'); return false; }
    const lines = buffer.subarray(0, end).toString('latin1').split('\r\n');
    buffer = buffer.subarray(end + 4);
    const headers = new Map();
    for (const l of lines.slice(1)) {
      const i = l.indexOf(':');
      const name = l.slice(0, i).trim().toLowerCase();
      headers.set(name, headers.has(name) ? headers.get(name) + ',' + l.slice(i + 1).trim() : l.slice(i + 1).trim());
    }
    if (!/^HTTP\/1\.1 101( |$)/.test(lines[0])) fail(`no upgrade: ${show(lines[0])}`);
    if ((headers.get('upgrade') || '').toLowerCase() !== 'websocket') fail('no upgrade header');
    if (!(headers.get('connection') || '').toLowerCase().split(/\s*,\s*/).includes('upgrade')) fail('no connection header');
    const want = crypto.createHash('sha1').update(key + GUID).digest('base64');
    if (headers.get('sec-websocket-accept') !== want) fail('wrong accept value');
    if (headers.has('sec-websocket-extensions')) fail('extension that was not asked for');
    if (headers.has('sec-websocket-protocol')) fail('subprotocol that was not asked for');
    return true;
  }

  function control(opcode, payload) {
    if (opcode === 9) frame(10, payload);
    if (opcode === 8) {
      frame(8, payload.subarray(0, 2));
      socket.end(() => fail('relay closed the WebSocket'));
    }
  }

  function nextFrame() {
    if (buffer.length < 2) return false;
    const fin = (buffer[0] & 0x80) !== 0;
    const opcode = buffer[0] & 0x0f;
    if (buffer[0] & 0x70) fail('reserved bits in a frame');
    if (buffer[1] & 0x80) fail('masked frame from the relay');
    let n = buffer[1] & 0x7f;
    let at = 2;
    if (n === 126) { if (buffer.length < 4) return false; n = buffer.readUInt16BE(2); at = 4; }
    else if (n === 127) { if (buffer.length < 10) return false; n = Number(buffer.readBigUInt64BE(2)); at = 10; }
    if (n > MAX) fail('frame too long');
    if (opcode >= 8 && (!fin || n > 125)) fail('bad control frame');
    if (buffer.length < at + n) return false;
    const payload = Buffer.from(buffer.subarray(at, at + n));
    buffer = buffer.subarray(at + n);
    if (opcode >= 8) {
      if (opcode > 10) fail('unknown opcode');
      control(opcode, payload);
      return true;
    }
    if (opcode === 0 ? parts === null : parts !== null) fail('bad continuation');
    if (opcode === 2) fail('binary message');
    if (opcode > 2) fail('unknown opcode');
    parts = parts === null ? [payload] : [...parts, payload];
    if (fin) {
      const whole = Buffer.concat(parts);
      parts = null;
      deliver(whole);
    }
    return true;
  }

  socket.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    if (!open) {
      if (!handshake()) return;
      open = true;
      opened();
    }
    while (nextFrame());
  });
  socket.write([
    `GET ${process.env.WS_PATH || '/'} HTTP/1.1`,
    `Host: ${net.isIPv6(host) ? `[${host}]` : host}:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Version: 13',
    '', ''].join('\r\n'));
  return { send: (text) => frame(1, Buffer.from(text, 'utf8')) };
}

// --- the client --------------------------------------------------------------------------------------------------
const queue = [];
let waiting = null;
function deliver(bytes) {
  const msg = parse(bytes);
  if (waiting) { const w = waiting; waiting = null; w(msg); } else queue.push(msg);
}

function answer(what) {
  if (queue.length) return Promise.resolve(queue.shift());
  return new Promise((resolve) => {
    const timer = setTimeout(() => fail(`${what}: no answer within ${TIMEOUT} ms`), TIMEOUT);
    waiting = (msg) => { clearTimeout(timer); resolve(msg); };
  });
}

async function ask(transport, request, kind) {
  transport.send(JSON.stringify(request));
  const msg = await answer(request.type);
  if (msg.type === 'error') {
    if (typeof msg.code !== 'string') return fail(`${request.type}: error without a code`);
    return fail(`${request.type} refused: ${show(msg.code)}`);
  }
  if (msg.type !== kind) return fail(`${request.type}: unexpected answer ${show(msg.type)}`);
  if (kind === 'auth_response' || kind === 'tunnel_response') {
    if (msg.status === 'error') return fail(`${request.type} refused: ${show(msg.code ?? msg.error ?? 'status error')}`);
    if (msg.status !== 'ok') return fail(`${request.type}: bad status`);
  }
  return msg;
}

const isText = (v) => typeof v === 'string';
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

async function session(transport) {
  const tenant = tenantOf(token);
  const hello = await ask(transport, { type: 'hello', version: '1.0', features: ['tls', 'heartbeat', 'tunnel_info'] }, 'hello_response');
  if (!isText(hello.version) || !Array.isArray(hello.features) || !hello.features.every(isText)) fail('bad hello_response');
  const auth = await ask(transport, { type: 'auth', token }, 'auth_response');
  if (!isText(auth.client_id) || !isText(auth.tenant_id)) fail('bad auth_response');
  if (auth.tenant_id !== tenant) fail('auth_response names another tenant');
  const tunnel = await ask(transport, { type: 'tunnel_info', ...TUNNEL, tenant_id: tenant }, 'tunnel_response');
  if (tunnel.tunnel_id !== TUNNEL.tunnel_id) fail('tunnel_response names another tunnel');
  console.log(`tunnel ${TUNNEL.tunnel_id} is up`);
  for (;;) {
    await sleep(HEARTBEAT);
    await ask(transport, { type: 'heartbeat' }, 'heartbeat_response');
  }
}

function main() {
  if (!token) fail('usage: service.js HOST PORT CA_FILE TOKEN');
  const connecting = setTimeout(() => fail('connect time-out'), TIMEOUT);
  const socket = tls.connect({
    host, port: Number(port), ca: fs.readFileSync(caFile),
    servername: net.isIP(host) ? undefined : host,
    minVersion: 'TLSv1.3',
  });
  socket.setNoDelay(true);
  socket.on('error', (err) => fail(`connection: ${err.code || err.message}`));
  socket.on('close', () => fail('connection closed'));
  socket.on('secureConnect', () => {
    if (process.env.TRANSPORT === 'websocket') {
      const transport = webSocketTransport(socket, deliver, () => { clearTimeout(connecting); session(transport); });
    } else {
      clearTimeout(connecting);
      session(lineTransport(socket, deliver));
    }
  });
}
main();
