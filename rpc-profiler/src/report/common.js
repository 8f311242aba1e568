"use strict";
// What all parts of the page use: the data, numbers as people read them, and elements.
// Whatever comes from the profile gets into the document by `textContent` and `setAttribute` alone.

addEventListener("error", (event) => {
  document.documentElement.dataset.error = event.message;
});

const data = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

// An element. Of the attributes, functions are listeners.
function el(tag, attributes = {}, ...children) {
  const made = tag in SVG ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = { svg: 1, rect: 1, line: 1, title: 1 };

// The same with a style, which the page's policy lets in through the object model only.
function styled(style, made) {
  for (const [name, value] of Object.entries(style)) made.style.setProperty(name, value);
  return made;
}

const integer = new Intl.NumberFormat("en");

const count = (value, one, many = `${one}s`) => `${integer.format(value)} ${value === 1 ? one : many}`;

function threeDigits(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

// Nanoseconds.
function time(ns) {
  if (ns === null || ns === undefined) return "–";
  const size = Math.abs(ns);
  if (size < 1e3) return `${Math.round(ns)} ns`;
  const sign = ns < 0 ? "−" : "";
  // Units change a little early, so that nothing is rounded to 1000 of the smaller one.
  if (size < 999.5e3) return `${sign}${threeDigits(size / 1e3)} µs`;
  if (size < 999.5e6) return `${sign}${threeDigits(size / 1e6)} ms`;
  if (size < 999.5e9) return `${sign}${threeDigits(size / 1e9)} s`;
  return `${sign}${integer.format(Math.round(size / 1e9))} s`;
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : threeDigits(value)} ${units[unit]}`;
}

const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "–");

const mean = (distribution) => distribution.sum / distribution.count;

// The calls and spans of the timeline as objects. `times` is in the order of the moments of a call: began, encoded, written,
// arrived, ran, replied, answered, decoded.
const calls = data.timeline.calls.map(
  ([label, fn, outcome, from, to, parent, depth, traffic, times, error], index) => ({
    index,
    label: data.strings[label],
    fn: data.strings[fn],
    outcome: data.strings[outcome],
    ok: data.strings[outcome] === "ok",
    error: error === null ? null : data.strings[error],
    from: data.workers[from],
    to: data.workers[to],
    parent,
    depth,
    traffic,
    times,
    stages: stagesOf(times),
    began: times[0] ?? times[3],
    ended: times[7] ?? times[6] ?? times[5],
  }),
);

const spans = data.timeline.spans.map(([label, name, worker, parent, depth, [began, ended]]) => ({
  label: data.strings[label],
  name: data.strings[name],
  worker: data.workers[worker],
  parent,
  depth,
  began,
  ended,
}));

// Calls, and after them spans: what a `parent` is an index of.
const nodes = [...calls, ...spans];

// When each stage began and ended; null if that is not known.
function stagesOf([began, encoded, written, arrived, ran, replied, answered, decoded]) {
  const stage = (from, to) => (from === null || to === null ? null : [from, Math.max(from, to)]);
  return [
    stage(began, encoded),
    stage(encoded, written),
    stage(written ?? encoded, arrived),
    stage(arrived, ran),
    stage(ran, replied),
    stage(replied, answered),
    stage(answered, decoded),
  ];
}

const took = (node) => Math.max(0, (node.ended ?? node.began ?? 0) - (node.began ?? 0));

// What is known of the stages of a call, as pairs of the stage's index and nanoseconds.
const knownStages = (call) =>
  call.stages.flatMap((stage, index) => (stage === null ? [] : [[index, stage[1] - stage[0]]]));

const stageColor = (index) => `var(--stage-${index})`;

const swatch = (color) => styled({ background: color }, el("span", { class: "swatch" }));

// A label without what the call was made in, of which it keeps a mark.
function shortLabel(label) {
  const own = label.split("#remote_op: ").at(-1);
  return own === label ? label : `… ${own}`;
}

// A function, or what is done with one (`rpc_async#…`), without the modules that it is in: `Shard::pull` of
// `my_app::shard::Shard::pull`.
const shortFunction = (fn) => fn.replace(/^([a-z_]+#)?(?:[a-z_][a-z0-9_]*::)+/, "$1");
