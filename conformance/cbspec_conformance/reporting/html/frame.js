// Both pages: colours, keyboard, filters and deep links. All texts are inserted as text; the page's policy forbids HTML.

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function make(name, className = "", ...content) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

// A file opened from a disk may have no storage.
const stored = (name, value) => {
  try {
    if (value === undefined) return localStorage.getItem(name) ?? "";
    localStorage.setItem(name, value);
  } catch { /* not kept then */ }
  return value ?? "";
};

// ---------------------------------------------------------------- colours

function colours(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  $("theme").value = theme;
  stored("cbspec-theme", theme);
}

function otherColours() {
  const dark = getComputedStyle(root).colorScheme === "dark" ||
    (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  colours(dark ? "light" : "dark");
}

// ---------------------------------------------------------------- filters

let found = async () => null; // the rows that the data hold, next to those whose own text matches
const chosen = (name) => all(`[name=${name}]:checked`, $("filters")).map((box) => box.value);

async function filter() {
  const [results, levels, chapter] = [chosen("result"), chosen("level"), $("chapter").value];
  const text = $("text").value.trim().toLowerCase();
  const more = text.length > 2 ? await found(text) : null;
  if (text !== $("text").value.trim().toLowerCase()) return; // typed on in the meantime
  let shown = 0;
  const rows = all("[data-row]");
  for (const row of rows) {
    const matches = (!results.length || results.includes(row.dataset.result)) &&
      (!levels.length || levels.includes(row.dataset.level)) &&
      (!chapter || row.closest("[data-chapter]").dataset.chapter === chapter) &&
      (!$("differ")?.checked || "differs" in row.dataset) &&
      (!text || row.textContent.toLowerCase().includes(text) || more?.has(row.dataset.of ?? row.id));
    row.hidden = !matches;
    shown += matches;
  }
  for (const part of all("[data-chapter]")) part.hidden = !all("[data-row]", part).some((row) => !row.hidden);
  $("none").hidden = shown > 0;
  $("found").textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  const state = new URLSearchParams([...results.map((each) => ["result", each]), ...levels.map((each) => ["level", each])]);
  if (chapter) state.set("chapter", chapter);
  if (text) state.set("text", text);
  if (state.size || location.hash.includes("=")) {
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  }
}

function choose(state) {
  for (const box of all("[name=result], [name=level]", $("filters"))) box.checked = state.getAll(box.name).includes(box.value);
  $("chapter").value = state.get("chapter") ?? "";
  $("text").value = state.get("text") ?? "";
  return filter();
}

// ---------------------------------------------------------------- deep links and keyboard

function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id.includes("=")) return void choose(new URLSearchParams(id));
  const element = $(id);
  if (!element) return;
  if (element.closest("[hidden]")) void choose(new URLSearchParams());
  for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  (element.querySelector(":scope > summary") ?? element).focus({ preventScroll: true });
  element.scrollIntoView();
}

function step(elements, by) {
  const seen = elements.filter((each) => each.checkVisibility());
  const now = seen.findIndex((each) => each.contains(document.activeElement));
  const at = now < 0 ? (by > 0 ? 0 : seen.length - 1) : Math.min(Math.max(now + by, 0), seen.length - 1);
  const next = seen[at];
  (next?.querySelector(":scope > summary") ?? next)?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

const keys = {
  "?": () => $("help").showModal(),
  "/": () => $("text").focus(),
  c: () => choose(new URLSearchParams()),
  t: otherColours,
};

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && typing) event.target.blur();
  const act = keys[event.key];
  if (!act || typing || event.ctrlKey || event.metaKey || event.altKey || $("help").open || !$("keys-on").checked) return;
  event.preventDefault();
  act();
});

function start() {
  for (const each of all(".tools, .filters")) each.hidden = false;
  colours(stored("cbspec-theme"));
  $("theme").addEventListener("change", () => colours($("theme").value));
  $("keys-on").checked = stored("cbspec-keys") !== "off";
  $("keys-on").addEventListener("change", () => stored("cbspec-keys", $("keys-on").checked ? "on" : "off"));
  $("ask-help").addEventListener("click", () => $("help").showModal());
  $("filters").addEventListener("input", filter);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(filter));
  addEventListener("hashchange", follow);
  addEventListener("load", () => setTimeout(follow)); // the browser's own way to the fragment ends the focus
}
