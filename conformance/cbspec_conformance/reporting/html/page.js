// The page of a run: sequence diagrams, drawn when a case is opened.

const SVG = "http://www.w3.org/2000/svg";
const FIRST = ["status", "code", "message", "tunnel_id", "version", "client_id", "tenant_id", "local_port", "remote_port"];
const CLIENT = "client", SUITE = "suite";

let loading;
function data() {
  loading ??= (async () => {
    const bytes = Uint8Array.from(atob($("exchanges").textContent), (letter) => letter.charCodeAt(0));
    const json = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const { began, role, cases } = await new Response(json).json();
    return { began, own: role === "client" ? CLIENT : SUITE, cases };
  })();
  return loading;
}

// Control characters, and those that change the direction of a text.
const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, (letter) =>
  letter === "\n" ? letter : `\\u{${letter.codePointAt(0).toString(16)}}`);
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const parsed = (text) => { try { return JSON.parse(text); } catch { return undefined; } };

function symbol(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `i ${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

// ---------------------------------------------------------------- messages

// The type of a message, and its members as a line.
function words(text, label) {
  const value = parsed(text);
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return [label || cut(visible(text), 60) || "nothing", ""];
  }
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const names = Object.keys(value).filter((name) => name !== "type").sort((a, b) => rank(a) - rank(b));
  const members = names.map((name) => `${name} ${cut(JSON.stringify(value[name]), 40)}`).join("  ");
  return [typeof value.type === "string" ? value.type : "no type", visible(cut(members, 150))];
}

function bytesOf(text, escaped) {
  const parts = escaped ? text.split(/\\x([0-9a-f]{2})/) : [text];
  return parts.flatMap((part, at) => (at % 2 ? [parseInt(part, 16)] : [...new TextEncoder().encode(part)]));
}

function dump(bytes) {
  const hex = (number, digits) => number.toString(16).padStart(digits, "0");
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = bytes.slice(at, at + 16);
    const letters = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${hex(at, 4)}  ${part.map((byte) => hex(byte, 2)).join(" ").padEnd(47)}  ${letters}`);
  }
  return lines.join("\n");
}

// The text of a message, as sent, decoded, or as bytes.
function details(row, when) {
  const [, , at, connection, received, text, note] = row;
  const value = parsed(text);
  const forms = { Text: visible(text), Bytes: dump(bytesOf(text, note)) };
  if (value !== undefined) forms.Decoded = visible(JSON.stringify(value, null, 2));
  const shown = make("pre");
  shown.tabIndex = 0;
  const buttons = Object.entries(forms).map(([name, form]) => {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      shown.textContent = form;
      shown.setAttribute("aria-label", `${name} of the message`);
      for (const each of buttons) each.ariaPressed = String(each === button);
    });
    return button;
  });
  buttons[0].click();
  const way = received ? "Received" : "Sent";
  const about = `${way} at ${when(at)}, ${at.toFixed(4)} s after the case began, on connection ${connection}. Tokens are redacted.`;
  return make("div", "raw", make("div", "pick", ...buttons, make("span", "quiet", about)), shown);
}

// ---------------------------------------------------------------- rows

function message(row, own, when, named) {
  const [, , , connection, received, text, note, label] = row;
  const [type, members] = words(text, label);
  const [from, to] = received ? ["relay", own] : [own, "relay"];
  const button = make("button", `msg ${received ? "in" : "out"}`, make("span", "vh", `${from} to ${to}: `));
  button.type = "button";
  button.ariaExpanded = "false";
  if (note) button.append(make("span", note === "fence" ? "note fence" : "note", visible(note)), " ");
  if (named) button.append(make("span", "conn", `#${connection}`), " ");
  button.append(make("b", "", type), " ", make("span", "members", members), make("span", "arrow"));
  button.addEventListener("click", () => {
    const item = button.closest("li"), open = item.querySelector(".raw");
    if (open) open.remove();
    else item.append(details(row, when));
    button.ariaExpanded = String(!open);
  });
  return button;
}

function said(row, named) {
  const [kind, , , connection, tone, text] = row;
  const words = { open: "opened: ", end: "ended: ", bad: "" };
  const line = make("span", "on");
  if (kind === "n" && tone) line.append(symbol(tone === "good" ? "passed" : "failed"));
  if (connection && (named || kind === "s")) line.append(make("span", "conn", `#${connection}`));
  line.append(kind === "s" && !text.startsWith("ended") ? words[tone] : "", visible(kind === "x" ? tone : text));
  return make("p", `said ${kind === "x" ? "output" : tone}`, line);
}

function rowItem(row, own, when, named, decisive) {
  if (row[0] === "r" || row[0] === "g") {
    const many = row[1] === 1 ? "row" : `${row[1]} rows`;
    const text = row[0] === "g" ? `${row[1]} rows are left out` : `the last ${many} ${row[2]} more times`;
    return make("li", "", make("span", "time"), make("div", "lane", make("p", "said", make("span", "on", text))));
  }
  const content = row[0] === "m" ? message(row, own, when, named) : said(row, named);
  const item = make("li", decisive ? "decisive" : "", make("span", "time", row[2].toFixed(3)), make("div", "lane", content));
  if (decisive && row[0] === "m") content.prepend(make("span", "badge", "decisive"));
  return item;
}

// The rows that explain a finding: from shortly before the first decisive one until shortly after the last.
function* groups(rows, decisive) {
  const places = rows.flatMap((row, at) => (decisive.has(row[1]) && row[0] !== "r" && row[0] !== "g" ? [at] : []));
  if (!places.length) return void (yield [true, rows]);
  const from = Math.max(places[0] - 5, 0), to = places.at(-1) + 3;
  for (const [shown, part] of [[false, rows.slice(0, from)], [true, rows.slice(from, to)], [false, rows.slice(to)]]) {
    if (part.length) yield [shown || part.length < 3, part];
  }
}

async function draw(place) {
  if (place.dataset.drawn) return;
  place.dataset.drawn = "true";
  const { began, own, cases } = await data();
  const found = cases[Number(place.dataset.case)];
  if (!found) return;
  const [at, sources, identifiers, rows] = found;
  const decisive = new Set((place.dataset.decisive ?? "").split(",").filter(Boolean).map(Number));
  const when = (seconds) => `${new Date((began + at + seconds) * 1000).toISOString().slice(11, 23)} UTC`;
  const list = make("ol");
  list.setAttribute("aria-label", `Exchange between ${own} and relay`);
  for (const [shown, part] of groups(rows, decisive)) {
    const named = new Set(rows.map((row) => row[3])).size > 2;
    const items = part.map((row) => rowItem(row, own, when, named, decisive.has(row[1]) && row.length > 3));
    if (shown) list.append(...items);
    else {
      const button = make("button", "fold", `${part.length} ${list.children.length ? "later" : "earlier"} rows`);
      button.type = "button";
      const fold = make("li", "", make("span", "time"), make("div", "lane", button));
      button.addEventListener("click", () => { fold.replaceWith(...items); items[0].querySelector("button")?.focus(); });
      list.append(fold);
    }
  }
  const facts = [`Began ${when(0)}`];
  const ports = sources.map((each, at) => (at && each.split(":")[0] === sources[0].split(":")[0] ? each.split(":").pop() : each));
  if (ports.length) facts.push(`from ${cut(ports.join(", "), 160)}`);
  const ends = make("div", "ends", make("span"), make("div", "", make("span", "", own), make("span", "", "relay")));
  ends.ariaHidden = "true";
  const about = make("div", "facts-of", make("p", "", visible(facts.join("; "))));
  if (identifiers.length) {
    const names = `Tunnel ids and subjects (${identifiers.length})`;
    about.append(make("details", "", make("summary", "", names), make("p", "", visible(identifiers.join(", ")))));
  }
  const seq = make("div", "seq", about, ends, list);
  place.replaceChildren(rows.length ? seq : make("p", "quiet", "Nothing was exchanged."));
}

// ---------------------------------------------------------------- start

// Rows whose cases have the text in a tunnel id, a subject or a source port: for those who come from a relay's log.
found = async (text) => {
  const { cases } = await data();
  const has = ([, sources, identifiers]) => [...sources, ...identifiers].some((each) => each.toLowerCase().includes(text));
  return new Set(cases.flatMap((each, at) => (has(each) ? [$(`case-${at}`)?.closest("[data-requirement]")?.id] : [])));
};

keys.j = () => step(all("[data-requirement]"), 1);
keys.k = () => step(all("[data-requirement]"), -1);
keys.n = () => step(all("article[data-requirement]"), 1);
keys.p = () => step(all("article[data-requirement]"), -1);
keys.f = () => choose(new URLSearchParams(chosen("result").includes("failed") ? [] : [["result", "failed"], ["result", "warned"]]));

document.addEventListener("toggle", ({ target }) => {
  if (!target.open) return;
  if (target.matches(".case")) void draw(target.querySelector(".exchange"));
  for (const each of all(":scope > .way > .exchange[data-decisive], :scope > .body > .way > .exchange[data-decisive]", target)) void draw(each);
}, true);

start();
const open = all("article > .way > .exchange");
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) void draw(target);
}, { rootMargin: "800px" });
for (const each of open) seen.observe(each);
addEventListener("beforeprint", () => open.forEach((each) => void draw(each)));
