// Shows a relay's messages, connections and faults. All text from clients is inserted as text, never as HTML.

const KEPT = 400; // entries of the exchange
const CUT = /… \(\d+ bytes\)$/; // the end of a long text in the transcript
const LISTED = 100; // connections
const FEW = 3; // idle tenants that are shown anyway
const LANE = 230; // width of a connection in pixels
const SILENCE = 30_000; // milliseconds; the relay sends a comment every ten seconds

const $ = (id) => document.getElementById(id);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...inside); // strings become text
  return element;
}

function put(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// ---------------------------------------------------------------------------------------------- the API

class Unreachable extends Error {}

const TOKEN = "cbspec-token";

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options, headers });
  } catch {
    throw new Unreachable("the relay can't be reached");
  }
  if (answer.status === 401) {
    await askForToken(token);
    return ask(path, options);
  }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `status ${answer.status}`);
  return answer;
}

async function get(path) {
  const answer = await ask(path);
  return answer.json().catch(() => {
    throw new Unreachable("the relay ended");
  });
}

function send(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  return ask(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

let asking = null; // the dialog that all waiting requests share

function askForToken(tried) {
  if (sessionStorage.getItem(TOKEN) !== tried) return Promise.resolve(); // another request has asked for it in the meantime
  asking ??= new Promise((done) => {
    put($("token-wrong"), tried ? "Wrong token." : "");
    reveal();
    $("ask").showModal();
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, $("token").value);
      $("token").value = "";
      $("ask").close();
      asking = null;
      done();
    };
  });
  return asking;
}

$("ask").addEventListener("cancel", (event) => event.preventDefault()); // all requests need the token

async function attempt(what, act) {
  put($("wrong"), "");
  try {
    await act();
    put($("said"), what);
    refreshSoon(0);
    return true;
  } catch (error) {
    put($("said"), "");
    put($("wrong"), error.message);
    return false;
  }
}

// ---------------------------------------------------------------------------------------------- lists

function show(list, items, key, build, update) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const name = String(key(item));
    let child = old.get(name);
    if (!child) {
      child = build(item);
      child.dataset.key = name;
    }
    old.delete(name);
    update(child, item);
    if (list.children[place] !== child) list.insertBefore(child, list.children[place] ?? null);
  });
  for (const gone of old.values()) {
    const next = gone.nextElementSibling ?? gone.previousElementSibling;
    const focused = gone.contains(document.activeElement);
    gone.remove();
    if (focused) (next?.querySelector("button") ?? list.closest("section").querySelector("h2")).focus();
  }
}

const part = (element, name) => element.querySelector(`.${name}`);

// ---------------------------------------------------------------------------------------------- the relay

function showHealth(health) {
  put($("state"), health.status);
  $("state").className = `state ${health.status}`;
  put($("address"), health.address);
  const { now, ahead } = health.time;
  put($("clock"), moment(now).slice(0, 8) + (ahead ? ` (+${span(ahead)})` : ""));
  put($("seed"), health.seed);
  put($("so-far"), health.connections_so_far);
  $("drain").setAttribute("aria-checked", health.status === "draining");
}

const twoDigits = (value) => String(value).padStart(2, "0");

function moment(seconds) {
  const date = new Date(seconds * 1000);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  return `${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const parts = [];
  for (const [unit, size] of units) {
    const count = unit === "s" ? Math.round(seconds * 10) / 10 : Math.floor(seconds / size);
    if (count) parts.push(`${count} ${unit}`);
    seconds -= count * size;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

function gauge() {
  return make("td", {}, make("span", { class: "figures" }),
    make("div", { class: "gauge", role: "meter", "aria-valuemin": 0 }, make("span", { class: "bar" })));
}

function fill(cell, name, used, limit) {
  const meter = part(cell, "gauge");
  meter.hidden = limit === null;
  part(cell, "figures").title = limit === null ? "no limit" : "";
  meter.setAttribute("aria-label", name);
  meter.setAttribute("aria-valuenow", used);
  meter.setAttribute("aria-valuemax", limit ?? used);
  const share = limit === null ? 0 : limit === 0 ? 1 : Math.min(1, used / limit);
  meter.className = `gauge ${share >= 1 ? "full" : share >= 0.75 ? "high" : ""}`;
  part(cell, "bar").style.width = `${share * 100}%`;
  put(part(cell, "figures"), `${used} / ${limit ?? "∞"}`);
}

function showTenants(tenants, health) {
  const whole = { id: "", name: "the whole relay", tunnels: health.buffers, tunnel_limit: health.limits.buffer_pool,
    connections: health.connections, connection_limit: health.limits.connection_limit, active: true, rate: null,
    allowed_addresses: [] };
  const isIdle = (tenant) => tenant.tunnels + tenant.connections === 0;
  const idle = tenants.filter(isIdle).length > FEW ? tenants.filter(isIdle) : [];
  const unfolded = $("idle").getAttribute("aria-expanded") === "true";
  $("idle").hidden = idle.length === 0;
  put($("idle"), `${idle.length} idle tenants`);
  show($("tenants"), [...tenants.filter((tenant) => unfolded || !idle.includes(tenant)), whole], (tenant) => tenant.id,
    () => make("tr", {}, make("th", { scope: "row" }, make("span", { class: "name" }), make("span", { class: "also quiet" })),
      gauge(), gauge()),
    (row, tenant) => {
      const name = tenant.name ?? tenant.id;
      put(part(row, "name"), name);
      part(row, "name").title = name;
      const { rate, allowed_addresses: from } = tenant;
      put(part(row, "also"), [
        tenant.active ? "" : "not active",
        rate ? `${rate.per_second}/s, burst ${rate.burst}` : "",
        from.length ? `from ${from.join(", ")}` : "",
      ].filter(Boolean).join("; "));
      fill(row.children[1], `tunnels of ${name}`, tenant.tunnels, tenant.tunnel_limit);
      fill(row.children[2], `connections of ${name}`, tenant.connections, tenant.connection_limit);
    });
  show($("tenant"), [{ id: "" }, ...tenants], (tenant) => tenant.id, (tenant) => make("option", { value: tenant.id }),
    (option, tenant) => put(option, tenant.id || "all"));
  show($("tenant-names"), tenants, (tenant) => tenant.id, (tenant) => make("option", { value: tenant.id }), () => {});
}

$("idle").addEventListener("click", () => {
  $("idle").setAttribute("aria-expanded", $("idle").getAttribute("aria-expanded") !== "true");
  refreshSoon(0);
});

function showConnections(connections) {
  const listed = connections.slice(-LISTED).reverse();
  const left = connections.length - listed.length;
  put($("open"), left ? `${connections.length}, the latest ${LISTED} of them here` : `${connections.length}`);
  $("no-connections").hidden = connections.length > 0;
  show($("connections"), listed, (connection) => connection.number,
    ({ number }) => make("li", {},
      make("div", { class: "what" }, make("strong", {}, `#${number}`), " ", make("span", { class: "who" }),
        make("div", { class: "also quiet" })),
      make("button", { type: "button", "aria-label": `Show connection ${number}`, onclick: () => choose(number) }, "Show"),
      make("button", { type: "button", "aria-label": `Drop connection ${number}`, onclick: () => drop(number) }, "Drop")),
    (item, { tenant, subject, transport, state, address, tunnels }) => {
      put(part(item, "who"), tenant ? `${tenant} / ${subject}` : "not authenticated");
      const names = tunnels.slice(0, 3).join(", ") + (tunnels.length > 3 ? ", …" : "");
      const open = tunnels.length ? `${tunnels.length} ${tunnels.length === 1 ? "tunnel" : "tunnels"}: ${names}` : "no tunnels";
      put(part(item, "also"), `${transport} from ${address} · ${state.replaceAll("_", " ")} · ${open}`);
      part(item, "also").title = open;
    });
}

function drop(number) {
  const how = $("how").value;
  attempt(`Connection ${number} was dropped.`, () => send("DELETE", `connections/${number}?how=${how}`));
}

$("drain").addEventListener("click", () => {
  const draining = $("drain").getAttribute("aria-checked") === "true";
  attempt(draining ? "The relay accepts new work again." : "The relay is draining: it refuses new work.",
    () => send(draining ? "DELETE" : "POST", "drain"));
});

$("forward").addEventListener("submit", (event) => {
  event.preventDefault();
  const seconds = Number($("by").value) * Number($("unit").value);
  attempt(`The simulator's clock was moved forward by ${span(seconds)}.`, () => send("POST", "time", { seconds }));
});

$("reset").addEventListener("click", () => {
  attempt("Reset: all faults are removed, draining has ended, and the configured limits apply. Clock and connections stay as they are.",
    () => send("POST", "reset"));
});

// ---------------------------------------------------------------------------------------------- faults

const terms = (data, without = []) => Object.entries(data)
  .filter(([name]) => !without.includes(name))
  .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");

const kindOf = (fault) => fault.kind ?? fault.sequence.map((each) => each.kind).join(" → ");
const holds = (fault) => (fault.sequence ?? [fault]).some((each) => each.kind === "hold");

function showFaults(faults) {
  put($("faults-count"), faults.length || "");
  $("no-faults").hidden = faults.length > 0;
  show($("faults"), faults, (fault) => fault.name,
    (fault) => make("li", { class: "fault" },
      make("div", { class: "what" }, make("strong", {}, kindOf(fault)), " ", make("span", { class: "name quiet" }, fault.name),
        make("div", { class: "also" },
          terms(fault, ["name", "kind", "when", "direction", "matched", "strikes", "never_struck", "sequence", "repeat"])),
        make("div", { class: "also quiet" }, fault.when ? `when ${terms(fault.when)}` : `at every ${fault.direction}`)),
      make("div", { class: "count" }, make("b", { class: "strikes" }), make("span", { class: "matched quiet" })),
      make("button", { type: "button", hidden: !holds(fault), "aria-label": `Release ${fault.name}`,
        onclick: () => attempt(`The messages held by ${fault.name} were released.`,
          () => send("POST", `faults/${encodeURIComponent(fault.name)}/release`)) }, "Release"),
      make("button", { type: "button", "aria-label": `Remove ${fault.name}`,
        onclick: () => attempt(`${fault.name} was removed.`,
          () => send("DELETE", `faults/${encodeURIComponent(fault.name)}`)) }, "Remove")),
    (item, fault) => {
      put(part(item, "strikes"), `${fault.strikes} ${fault.strikes === 1 ? "strike" : "strikes"}`);
      put(part(item, "matched"), `of ${fault.matched}`);
    });
}

const USUAL = ["message", "tenant", "nth", "times"];
const JSON_KIND = "written as JSON";
const EXAMPLE = { sequence: [{ kind: "drop" }, { kind: "pass" }], when: { message: "heartbeat_response" } };
let kinds = new Map();

async function loadKinds() {
  const described = await get("openapi.json");
  const schema = described.paths["/faults"].post.requestBody.content["application/json"].schema;
  const single = schema.oneOf.filter((each) => each.properties.kind);
  kinds = new Map(single.map((each) => [each.title, each]));
  const groups = Map.groupBy(single, (each) => each["x-layer"]);
  const options = [...groups].map(([layer, members]) =>
    make("optgroup", { label: layer }, ...members.map((each) => make("option", {}, each.title))));
  $("kind").replaceChildren(...options, make("optgroup", { label: "anything" }, make("option", {}, JSON_KIND)));
  const { when } = single[0].properties;
  const named = Object.entries(when.properties);
  const fieldsOf = (wanted) => named.filter(([name]) => wanted(name)).map(([name, value]) => field("when", name, value));
  $("usual").replaceChildren(...fieldsOf((name) => USUAL.includes(name)));
  $("unusual").replaceChildren(...fieldsOf((name) => !USUAL.includes(name)));
  $("kind").value = "error";
  chooseKind();
}

function chooseKind() {
  const kind = kinds.get($("kind").value);
  $("when").hidden = !kind;
  $("params").classList.toggle("wide", !kind);
  if (!kind) {
    put($("kind-says"), "A complete fault as JSON, for example with a sequence.");
    const area = make("textarea", { id: "as-json", rows: 8, spellcheck: "false" }, JSON.stringify(EXAMPLE, null, 2));
    $("params").replaceChildren(make("div", {}, make("label", { for: "as-json" }, "Fault"), area));
    return;
  }
  put($("kind-says"), kind.description);
  const own = Object.entries(kind.properties).filter(([name]) => !["kind", "name", "when"].includes(name));
  $("params").replaceChildren(...own.map(([name, value]) => field("param", name, value, kind.required.includes(name))),
    field("param", "name", kind.properties.name));
}

function field(group, name, schema, required = false) {
  const id = `${group}-${name}`;
  const common = { id, "data-group": group, "data-name": name, required, "aria-describedby": `${id}-says` };
  const unset = schema.default === undefined ? "" : JSON.stringify(schema.default);
  let input;
  const words = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (words) {
    input = make("select", common, make("option", { value: "" }, unset && `(${unset})`),
      ...words.map((word) => make("option", {}, word)));
  } else if (schema.type === "integer" || schema.type === "number") {
    input = make("input", { ...common, type: "number", min: schema.minimum ?? schema.exclusiveMinimum, max: schema.maximum,
      step: schema.type === "integer" ? 1 : "any", placeholder: unset });
  } else if (name === "code" && schema.examples) {
    input = make("select", { ...common, onchange: () => otherCode(input) }, make("option", { value: "" }),
      ...schema.examples.map((code) => make("option", {}, code)), make("option", { value: OTHER }, "another code …"));
  } else {
    const list = name === "tenant" ? "tenant-names" : schema.examples ? `${id}-list` : undefined;
    input = make("input", { ...common, type: "text", list, placeholder: unset || JSON_HINTS[schema.type] || "",
      spellcheck: "false", autocomplete: "off" });
  }
  input.schema = schema;
  const says = input.tagName === "SELECT" && schema.examples ? "a standard code, or any other" : schema.description ?? "";
  const inside = [make("label", { for: id }, name + (required ? " *" : "")), input,
    make("small", { id: `${id}-says`, class: "quiet" }, says)];
  if (schema.examples && input.tagName === "INPUT") {
    inside.push(make("datalist", { id: `${id}-list` }, ...schema.examples.map((value) => make("option", { value }))));
  }
  return make("div", { class: says.length > 90 ? "broad" : "" }, ...inside);
}

const OTHER = " "; // no code

// Replaces the list of codes by an input for any other code.
function otherCode(list) {
  if (list.value !== OTHER) return;
  const { id, dataset: { group, name }, required } = list;
  const input = make("input", { id, type: "text", "data-group": group, "data-name": name, required, spellcheck: "false",
    autocomplete: "off", "aria-describedby": `${id}-says` });
  input.schema = list.schema;
  list.replaceWith(input);
  input.focus();
}

const JSON_HINTS = { array: "[1, 20]", object: "{…}" };

function valueOf(input) {
  const { type, anyOf } = input.schema;
  if (anyOf) return /^\d+$/.test(input.value) ? Number(input.value) : input.value; // a number or a word
  if (type === "integer" || type === "number") return Number(input.value);
  if (type === "string" || input.schema.enum) return input.value;
  try {
    return JSON.parse(input.value);
  } catch {
    throw new Error(`${input.dataset.name}: must be JSON, such as ${JSON_HINTS[type] ?? '"a string" or 17'}`);
  }
}

function wantedFault() {
  if ($("as-json")) {
    try {
      return JSON.parse($("as-json").value);
    } catch (error) {
      throw new Error(`the fault must be JSON: ${error.message}`);
    }
  }
  const fault = { kind: $("kind").value };
  const when = {};
  for (const input of $("add").querySelectorAll("[data-group]")) {
    if (input.value !== "") (input.dataset.group === "when" ? when : fault)[input.dataset.name] = valueOf(input);
  }
  return Object.keys(when).length ? { ...fault, when } : fault;
}

$("kind").addEventListener("change", chooseKind);
$("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  put($("refused"), "");
  try {
    const added = await (await send("POST", "faults", wantedFault())).json();
    put($("wrong"), "");
    put($("said"), `${added.name} was added.`);
    $("add").reset();
    $("kind").value = kindOf(added);
    chooseKind();
    refreshSoon(0);
  } catch (error) {
    put($("refused"), error.message);
  }
});

// ---------------------------------------------------------------------------------------------- the exchange

let entries = []; // the last entries; `row` is set if an entry is shown
let pending = []; // entries that are not shown yet
let leftOut = 0;
let filtered = 0;
let lastNumber = 0;
let lanes = []; // the columns: each has the connections that use it, one after the other
let talks = new Map(); // what is known of each connection
let shown = null; // the entry whose text is shown
let drawing = false;

function take(entry) {
  if (entry.number <= lastNumber) return; // history and stream overlap
  if (lastNumber && entry.number > lastNumber + 1) leftOut += entry.number - lastNumber - 1;
  lastNumber = entry.number;
  pending.push(entry);
  if (pending.length > KEPT) {
    pending.shift();
    leftOut += 1;
  }
  drawSoon();
  refreshSoon();
}

function drawSoon() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    if ($("pause").getAttribute("aria-pressed") !== "true") draw();
    showKept();
  }, 60);
}

function showKept() {
  const held = $("pause").getAttribute("aria-pressed") === "true" && pending.length ? `${pending.length} more came meanwhile` : "";
  const hidden = entries.filter((entry) => entry.connection && laneOf(entry) < 0).length;
  put($("kept"), [
    leftOut ? `${leftOut} earlier ones left out` : "",
    hidden ? `${hidden} of other connections not shown` : "",
    filtered ? `${filtered} filtered out` : "",
    held,
  ].filter(Boolean).join(" · "));
  $("empty").hidden = entries.length > 0;
}

// Notes what an entry means for others of its connection; returns those whose row changes.
function relate(entry) {
  const talk = talks.get(entry.connection) ?? { number: entry.connection, first: 0, last: Infinity, who: "", transport: "", tenant: "" };
  talks.set(entry.connection, talk);
  if (entry.event === "accepted") talk.first = entry.number;
  if (entry.event === "ended") talk.last = entry.number;
  if (entry.event === "not_secured") talk.failed = true;
  if (entry.tenant) [talk.tenant, talk.who] = [entry.tenant, `${entry.tenant} / ${entry.subject}`];
  talk.transport = entry.transport || talk.transport;
  talk.latest = entry.number;
  if (entry.event === "fault") talk.fate = WAITING.test(entry.text) ? "not sent yet" : LOST.test(entry.text) ? "not sent" : talk.fate;
  if (entry.event === "request") [talk.asked, talk.fate] = [entry, ""];
  if (entry.event === "answer") {
    entry.asked = talk.asked;
    entry.fate = talk.fate;
    if (talk.asked) talk.asked.failed = isWrong(entry);
    talk.asked = talk.fate = null;
  }
  const decided = entry.event === "sent" && entries.findLast((each) => each.number === entry.of);
  if (decided) decided.sent = entry;
  if (!isBeat(entry)) talk.beats = null;
  else {
    const beats = talk.beats ??= { count: 0, slowest: 0, began: entry.time };
    beats.count += entry.event === "request";
    if (entry.asked) beats.slowest = Math.max(beats.slowest, entry.time - entry.asked.time);
    beats.last = entry;
    entry.beats = beats;
  }
  return [decided, entry.asked, ...(entry.beats ? entries.filter((each) => each.beats === entry.beats && each.row) : [])].filter(Boolean);
}

// Connections that overlap in time get different columns; one that has ended leaves its column to others.
function chosenLanes() {
  const tenant = $("tenant").value;
  const all = [...talks.values()].filter(({ number }) => number);
  const chosen = Number($("which").value);
  const options = all.toSorted((a, b) => b.number - a.number).slice(0, LISTED);
  show($("which"), [{ number: "", label: "the latest" }, ...options], (talk) => talk.number,
    (talk) => make("option", { value: talk.number }), (option, talk) => put(option, talk.label ?? `#${talk.number} ${talk.who}`));
  if (chosen) return [all.filter((talk) => talk.number === chosen)];
  const room = Math.max(1, Math.floor(($("scroller").clientWidth - 164) / LANE));
  const apart = (a, b) => a.first > b.last || b.first > a.last;
  const place = (columns, talk) => {
    const free = columns.find((column) => column.every((other) => apart(other, talk)));
    if (free) free.push(talk);
    else if (columns.length < room) columns.push([talk]);
    else return false;
    return true;
  };
  const taken = [];
  const fitting = all.filter((talk) => !tenant || talk.tenant === tenant)
    .sort((a, b) => (b.last === Infinity) - (a.last === Infinity) || b.number - a.number).filter((talk) => place(taken, talk));
  const columns = [];
  for (const talk of fitting.sort((a, b) => a.number - b.number)) place(columns, talk);
  return columns;
}

const laneOf = (entry) => lanes.findIndex((column) => column.some(({ number }) => number === entry.connection));
const layout = () => lanes.map((column) => column.map(({ number, last }) => `${number}-${last}`).join()).join("/");

function draw(anew = false) {
  const scroller = $("scroller");
  const follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
  const fresh = pending;
  pending = [];
  const changed = new Set();
  for (const entry of fresh) {
    entries.push(entry);
    for (const other of relate(entry)) if (other !== entry) changed.add(other);
  }
  for (const gone of entries.splice(0, Math.max(0, entries.length - KEPT))) {
    leftOut += 1;
    gone.row?.remove();
    const talk = talks.get(gone.connection);
    if (talk.latest === gone.number) talks.delete(gone.connection);
  }
  const before = layout();
  lanes = chosenLanes();
  showLanes();
  if (anew || before !== layout() || ($("wrong-only").checked && [...changed].some((entry) => !entry.row && passes(entry)))) {
    const at = entries.find((entry) => entry.row?.contains(document.activeElement));
    for (const entry of entries) entry.row = null;
    filtered = 0;
    $("rows").replaceChildren(...entries.map(row).filter(Boolean));
    at?.row?.firstElementChild.focus();
  } else {
    for (const entry of changed) redraw(entry);
    $("rows").append(...fresh.filter((entry) => !entry.row).map(row).filter(Boolean));
  }
  const tab = $("rows").querySelector('button[tabindex="0"]') ?? $("rows").lastElementChild?.querySelector("button");
  if (tab) tab.tabIndex = 0;
  if (follows) scroller.scrollTop = scroller.scrollHeight;
}

// Draws the row of an entry again, or removes it.
function redraw(entry) {
  const old = entry.row;
  if (!old) return;
  const focused = old.contains(document.activeElement);
  entry.row = null;
  const made = row(entry);
  if (made) old.replaceWith(made);
  else old.remove();
  if (focused) (made ?? $("rows").lastElementChild)?.firstElementChild.focus();
}

function showLanes() {
  $("scroller").style.setProperty("--lanes", Math.max(1, lanes.length));
  show($("lanes"), lanes.map((column, place) => ({ ...column.at(-1), place })), (lane) => lane.place,
    () => make("div", { class: "lane-head" }, make("div", { class: "title" }, make("strong", {}), " ",
      make("span", { class: "who" })), make("div", { class: "ends" }, make("span", {}, "client"), make("span", { class: "by quiet" }),
      make("span", {}, "relay"))),
    (head, lane) => {
      put(head.querySelector("strong"), `#${lane.number}`);
      put(part(head, "who"), lane.who || "not authenticated");
      part(head, "who").title = lane.who;
      put(part(head, "by"), [lane.failed ? "no TLS" : lane.transport, lane.last === Infinity ? "" : "ended"].filter(Boolean).join(", "));
    });
}

// The value that distinguishes a message from others of its type.
function gist(entry) {
  try {
    const read = JSON.parse(entry.text);
    return [read.code, read.tunnel_id, read.client_id].filter((value) => typeof value === "string").join(" ").slice(0, 80);
  } catch {
    return CUT.exec(entry.text)?.[0] ?? "not JSON";
  }
}

const WAYS = { request: "client to relay", answer: "relay to client", sent: "relay to client", unsent: "not sent", unread: "client to relay, not read",
  fault: "fault", accepted: "accepted", secured: "TLS", not_secured: "failed handshake", connected: "connected", ended: "ended",
  control: "control" };

// The name of an entry in the exchange, and what distinguishes it from others.
const SHOWN = {
  request: (entry) => [entry.type, gist(entry)],
  answer: (entry) => [entry.type, gist(entry)],
  sent: (entry) => [`sent: ${entry.type}`, entry.text ? gist(entry) : "nothing"],
  unsent: (entry) => ["not sent:", entry.text],
  unread: (entry) => ["not read:", entry.text.slice(0, 80)],
  fault: (entry) => [entry.text.split(" at ")[0], entry.type],
  accepted: (entry) => ["accepted", entry.address],
  secured: (entry) => [entry.type, entry.text.split(";")[0]],
  not_secured: (entry) => ["no TLS:", entry.text],
  ended: (entry) => [`ended: ${entry.type}`, entry.by && `by the ${entry.by}`],
  control: (entry) => [entry.type, entry.text.slice(0, 80)],
};

const WAITING = /^(hold|delay)\b/; // strikes after which a decided answer waits
const LOST = /^drop\b/; // strikes after which it is not sent
const GROUPS = { fault: "faults", unsent: "faults", control: "controls" };
const ASKED = { hello_response: "hello", auth_response: "auth", tunnel_response: "tunnel_info", heartbeat_response: "heartbeat" };
const SEEN = ["request", "answer", "sent"];

const isWrong = (entry) => entry.event === "not_secured" || entry.remarks.length > 0 ||
  (entry.event === "answer" && (entry.type === "error" || SHOWN.answer(entry)[1] === "not JSON"));
const isBeat = (entry) => ["request", "answer"].includes(entry.event) && entry.type.startsWith("heartbeat") && !entry.remarks.length &&
  !entry.fate && (entry.event === "request" || entry.asked?.type === "heartbeat");
const isFolded = (entry) => $("fold").checked && entry.beats?.count > 1 && entry !== entry.beats.last;

// The group of an entry in the filter by type: that of an error is the request's.
function group(entry) {
  if (!SEEN.includes(entry.event)) return GROUPS[entry.event] ?? "connections";
  const type = entry.type === "error" ? entry.asked?.type ?? "error" : ASKED[entry.type] ?? entry.type;
  return ["hello", "auth", "tunnel_info", "heartbeat"].includes(type) ? type : "others";
}

function passes(entry) {
  const wanted = $("type").value;
  const bad = isWrong(entry) || entry.failed || ["fault", "sent", "unsent", "unread"].includes(entry.event);
  return (!wanted || wanted === group(entry)) && (!$("wrong-only").checked || bad);
}

function lasted(seconds) {
  return seconds < 0.9995 ? `${Math.max(0, seconds * 1000).toFixed(seconds < 0.00995 ? 1 : 0)} ms` : `${seconds.toFixed(seconds < 9.95 ? 2 : 1)} s`;
}

// How long the relay took to decide on an answer, or how long that answer waited.
function latency(entry) {
  const from = entry.event === "answer" ? entry.asked : entry.event === "sent" && entries.find((each) => each.number === entry.of);
  return from ? `+${lasted(entry.time - from.time)}` : "";
}

// What became of an answer that did not leave when the relay decided on it.
const fate = (entry) => entry.event !== "answer" ? "" : entry.sent ? "decided" : entry.fate;

function row(entry) {
  const control = entry.connection === 0; // of the whole relay
  const place = control ? 0 : laneOf(entry);
  if (place < 0 || entry.event === "connected" || isFolded(entry)) return null; // the head of a lane shows the transport
  if (!passes(entry)) {
    filtered += 1;
    return null;
  }
  const folds = $("fold").checked && entry.beats?.count > 1;
  const late = fate(entry);
  const [name, what] = folds ? [`heartbeat ×${entry.beats.count}`, ""] : SHOWN[entry.event](entry);
  const took = folds ? `≤${lasted(entry.beats.slowest)}` : latency(entry);
  const more = [what, ...entry.remarks].filter(Boolean).join(" · ");
  const button = make("button", { type: "button", tabindex: -1,
    class: `arrow ${folds ? "beats" : entry.event} ${isWrong(entry) ? "wrong" : ""} ${late ? "late" : ""}`,
    "aria-label": `${moment(entry.time)}, ${control ? "" : `connection ${entry.connection}, `}${folds ? "both ways" : WAYS[entry.event]}: ${late && `${late}: `}${name} ${more} ${took}`,
    title: folds ? `since ${moment(entry.beats.began)}` : more,
    onclick: () => showText(entry) },
  make("span", { class: "label" }, entry.event === "accepted" ? make("b", {}, `#${entry.connection} `) : "",
    late && make("b", {}, `${late}: `), name, " ", make("i", {}, more)),
  make("span", { class: "line" }));
  button.style.gridColumn = control ? "2 / -1" : place + 2;
  const lifelines = lanes.map((column, at) => {
    const lane = column.find(({ first, last }) => entry.number >= first && entry.number <= last);
    const life = make("span", { class: `life ${!lane ? "none" : entry.number === lane.first ? "begin" : entry.number === lane.last ? "end" : ""}` });
    life.style.gridColumn = at + 2;
    return life;
  });
  entry.row = make("li", { class: entry === shown ? "shown" : "" }, button, make("span", { class: `time ${entry.event === "sent" ? "after" : ""}` }, moment(entry.time),
    make("span", { class: "took" }, took)), ...lifelines);
  button.entry = entry;
  return entry.row;
}

function showText(entry) {
  shown?.row?.classList.remove("shown");
  shown = entry;
  $("detail").hidden = !entry;
  if (!entry) return;
  entry.row?.classList.add("shown");
  put($("detail-title"), `${WAYS[entry.event]}: ${entry.type}`);
  const when = new Date(entry.time * 1000).toISOString();
  const who = entry.tenant ? `, ${entry.tenant} / ${entry.subject}` : "";
  const about = entry.connection ? `connection ${entry.connection}${who}` : "the whole relay";
  const answer = entry.event === "answer" ? entry : entries.find((each) => each.number === entry.of);
  const times = answer ? `, decided at ${moment(answer.time)}${answer.asked ? ` (${lasted(answer.time - answer.asked.time)} after the request)` : ""}` +
    (answer.sent ? `, sent at ${moment(answer.sent.time)} (${lasted(answer.sent.time - answer.time)} later)` : answer.fate ? `, ${answer.fate}` : "") : "";
  const beats = entry.beats?.count > 1 ? [`${entry.beats.count} heartbeats since ${moment(entry.beats.began)}, each answered within ${lasted(entry.beats.slowest)}`] : [];
  const remarks = entry.remarks.map((remark) => `Remark: ${remark}`);
  put($("detail-about"), [`Entry ${entry.number}, ${when}, ${about}${times}`, ...beats, ...remarks].join("\n"));
  put($("raw"), entry.text || [entry.type, entry.by && `by the ${entry.by}`, entry.address].filter(Boolean).join(" "));
  let read = "";
  try {
    read = JSON.stringify(JSON.parse(entry.text), null, 2);
  } catch { /* it is shown as it was written */ }
  put($("read"), read);
  $("read").hidden = read === "";
  entry.row?.scrollIntoView({ block: "nearest" });
}

$("rows").addEventListener("keydown", (event) => {
  const item = event.target.closest("li");
  const to = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling,
    Home: $("rows").firstElementChild, End: $("rows").lastElementChild }[event.key];
  if (event.key === "Escape" && shown) closeText();
  if (!to) return;
  event.preventDefault();
  to.firstElementChild.focus();
});

$("rows").addEventListener("focusin", (event) => {
  for (const button of $("rows").querySelectorAll('button[tabindex="0"]')) button.tabIndex = -1;
  event.target.tabIndex = 0;
  if (shown) showText(event.target.entry);
});

function closeText() {
  const back = shown?.row?.firstElementChild ?? $("rows").querySelector('button[tabindex="0"]') ?? $("pause");
  showText(null);
  back.focus();
  showText(null); // taking the focus would show it again
}

function choose(number) {
  if (![...$("which").options].some((option) => option.value === String(number))) {
    put($("said"), `The messages of connection ${number} are no longer in memory.`);
    return;
  }
  $("which").value = number;
  draw(true);
  showKept();
}

function forget() {
  entries = [];
  pending = [];
  talks = new Map();
  leftOut = 0;
  showText(null);
  draw(true);
  showKept();
}

$("close").addEventListener("click", closeText);
$("detail").addEventListener("keydown", (event) => event.key === "Escape" && closeText());
$("clear").addEventListener("click", forget);
for (const id of ["which", "tenant", "type", "wrong-only", "fold"]) {
  $(id).addEventListener("change", () => {
    draw(true);
    showKept();
  });
}
$("pause").addEventListener("click", () => {
  $("pause").setAttribute("aria-pressed", $("pause").getAttribute("aria-pressed") !== "true");
  drawSoon();
});
new ResizeObserver(() => draw(entries.length > 0)).observe($("scroller"));

// ---------------------------------------------------------------------------------------------- updates

let started = null; // start time of the relay, by which a restart is noticed
let linked = false;
let refreshing = null;
let timer = null;

async function refresh() {
  const [health, faults, connections, tenants] = await Promise.all(["health", "faults", "connections", "tenants"].map(get));
  if (started !== health.started) {
    if (started !== null) {
      put($("said"), "Another relay has started; earlier messages are discarded.");
      forget();
    }
    started = health.started;
    lastNumber = Math.max(0, health.entries - KEPT);
    leftOut = lastNumber;
  }
  showHealth(health);
  showFaults(faults);
  showTenants(tenants, health);
  showConnections(connections);
}

function refreshSoon(after = 400) {
  if (timer !== null && after > 0) return;
  clearTimeout(timer);
  timer = setTimeout(async () => {
    timer = null;
    if (!linked) return;
    await refreshing?.catch(() => {});
    refreshing = refresh();
    refreshing.catch(() => {}); // the stream reports a closed relay
  }, after);
}

setInterval(() => document.hidden || refreshSoon(), 2000);

async function listen() {
  const stop = new AbortController();
  const answer = await ask(`events?since=${lastNumber}`, { signal: stop.signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const silence = setTimeout(() => stop.abort(), SILENCE);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) take(JSON.parse(line.slice(6)));
    }
  } finally {
    stop.abort();
  }
}

const reveal = () => document.documentElement.classList.remove("loading"); // the page is hidden until its history is there

async function live() {
  let pause = 250;
  for (;;) {
    const before = started;
    try {
      await refresh();
      if (kinds.size === 0) await loadKinds();
      if (before === started) put($("said"), "The relay is reachable again.");
      for (const entry of await get(`transcript?since=${lastNumber}`)) take(entry);
      draw();
      showKept();
      reveal();
      linked = true;
      pause = 250;
      await listen();
    } catch (error) {
      if (!(error instanceof Unreachable) && error.name !== "AbortError" && !(error instanceof TypeError)) put($("wrong"), error.message);
    }
    linked = false;
    reveal();
    put($("state"), "not reachable");
    $("state").className = "state lost";
    put($("said"), "The relay is not reachable; the page continues when it is reachable again.");
    await wait(pause);
    pause = Math.min(4000, pause * 2);
  }
}

document.body.append(make("datalist", { id: "tenant-names" }));
live();
