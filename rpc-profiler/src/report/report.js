"use strict";
// The head of the page, what the mouse and the keys do, and the start of all of it.

function showHead() {
  const { facts } = data;
  const began = new Date(facts.began_unix_ms).toISOString().replace("T", " ").slice(0, 19);
  document.title = `Where the time went: ${facts.home}`;
  byId("subtitle").textContent = `Recorded by ${facts.home} on ${began} UTC. All times are on its clock.`;
  const errors = data.workers.filter((worker) => !worker.is_home).map((worker) => worker.error_ns);
  const known = errors.filter((error) => error !== null);
  const clock = known.length === 0 ? "unknown" : `± ${time(Math.max(...known))}`;
  const tiles = [
    ["wall", "wall time", time(facts.wall_ns), facts.wall_ns],
    ["calls", "calls", integer.format(facts.calls), facts.calls],
    ["spans", "spans", integer.format(facts.spans), facts.spans],
    ["bytes", "bytes", bytes(facts.bytes), facts.bytes],
    ["failed", "failed", integer.format(facts.failed), facts.failed],
    ["timed-out", "timed out", integer.format(facts.timed_out), facts.timed_out],
    ["dropped", "not kept", integer.format(facts.dropped), facts.dropped],
    ["workers", "workers", integer.format(data.workers.length), data.workers.length],
    ["clock", "clock error", errors.length === 0 ? "–" : clock + (known.length < errors.length && known.length > 0 ? "?" : ""), Math.max(-1, ...known)],
  ];
  const warns = ["failed", "timed-out", "dropped"];
  for (const [name, title, text, value] of tiles) {
    const kind = warns.includes(name) && value > 0 ? "is-bad" : null;
    byId("facts").append(el("div", { class: kind }, el("dt", {}, title), el("dd", { "data-fact": name, "data-value": value }, text)));
  }
}

function showShare() {
  const { all } = data.functions;
  const sums = all.stages.map((stage) => stage?.sum ?? 0);
  const known = sums.reduce((a, b) => a + b, 0);
  const rest = Math.max((all.total?.sum ?? 0) - known, 0);
  const parts = sums.map((sum, stage) => [data.stages[stage], sum, stageColor(stage)]);
  parts.push(["not known", rest, "var(--unknown)"]);
  for (const [name, sum, color] of parts.filter(([, sum]) => sum > 0)) {
    const part = el("div", { title: `${name}: ${time(sum)}` });
    byId("share").append(styled({ flex: `${sum} 1 0`, background: color }, part));
    byId("share-legend").append(el("li", {}, swatch(color), `${name} `, el("b", {}, percent(sum, known + rest))));
  }
}

function showLegend() {
  const stages = data.stages.map((name, stage) => el("li", {}, swatch(stageColor(stage)), name));
  const span = el("li", {}, swatch("var(--span)"), "span of one's own");
  const unknown = el("li", {}, swatch("var(--unknown)"), "not known");
  const failed = el("li", {}, el("span", { class: "swatch failed" }), "failed");
  byId("legend").append(...stages, span, unknown, failed);
  const { shown, of } = data.timeline;
  const which =
    shown === of
      ? `All ${count(of, "slice")}.`
      : `${integer.format(shown)} of ${count(of, "slice")}: what is in and around the slowest calls, all near the slowest one, and the longest.`;
  byId("timeline-note").textContent = which;
  canvas.setAttribute("aria-label", `Timeline of ${count(groups.length, "worker")}. ${which} The tables below have the same calls as text.`);
  Object.assign(canvas.dataset, { slices: shown, of });
}

// What is known of a call or span, in a few lines.
function describe(node) {
  const isCall = "outcome" in node;
  const facts = [["took", time(took(node))], ["began", time(node.began)]];
  if (isCall) {
    const [sent, sentParts, received, receivedParts] = node.traffic;
    facts.push(["sent", bytes(sent) + (sentParts ? ` in ${count(sentParts, "part")}` : "")]);
    facts.push(["received", bytes(received) + (receivedParts ? ` in ${count(receivedParts, "part")}` : "")]);
  } else {
    facts.push(["on", node.worker.name]);
  }
  const shownFacts = facts.map(([name, text]) => el("span", {}, `${name} `, el("b", {}, text)));
  if (isCall) shownFacts.push(outcomeBadge(node.outcome));
  const stages = (isCall ? knownStages(node) : []).map(([stage, ns]) =>
    el("span", {}, swatch(stageColor(stage)), `${data.stages[stage]} ${time(ns)}`),
  );
  const error = isCall && node.error !== null ? el("div", { class: "error" }, node.error) : "";
  return [el("div", { class: "key" }, node.label), error, el("div", { class: "facts" }, ...shownFacts), el("div", { class: "parts" }, ...stages)];
}

function showDetails() {
  const details = byId("details");
  if (!selected) {
    details.replaceChildren(el("p", { class: "note" }, "Nothing is selected."));
    return;
  }
  const index = nodes.indexOf(selected.node);
  const jump = (node) => el("button", { type: "button", class: "mono", title: node.label, click: () => goTo(node) }, shortLabel(node.label));
  const inside = nodes.filter((node) => node.parent === index);
  const family = [];
  if (selected.node.parent !== null) family.push(el("li", {}, "in ", jump(nodes[selected.node.parent])));
  for (const node of inside.slice(0, 8)) family.push(el("li", {}, "has ", jump(node)));
  if (inside.length > 8) family.push(el("li", {}, `and ${count(inside.length - 8, "more", "more")}`));
  details.replaceChildren(...describe(selected.node), el("ul", {}, ...family));
}

function select(slice) {
  selected = slice;
  showDetails();
  redraw();
}

function goTo(node) {
  const of = (sides.get(node) ?? []).find((slice) => slice) ?? null;
  select(of);
  zoomTo(node);
}

// The slice after the selected one in time, or before it.
function step(by) {
  const next = slices[selected ? slices.indexOf(selected) + by : by > 0 ? 0 : slices.length - 1];
  if (!next) return;
  select(next);
  const [begin, end] = [view.begin, view.end];
  if (next.began < begin || next.began > end) pan(next.began - (begin + end) / 2);
  reveal(next);
}

const keys = {
  ArrowLeft: () => pan((view.begin - view.end) / 10),
  ArrowRight: () => pan((view.end - view.begin) / 10),
  ArrowUp: () => (lanes.scrollTop -= 2 * ROW),
  ArrowDown: () => (lanes.scrollTop += 2 * ROW),
  "+": () => zoom(0.7),
  "=": () => zoom(0.7),
  "-": () => zoom(1 / 0.7),
  0: () => show(all.begin, all.end),
  ".": () => step(1),
  ",": () => step(-1),
  Enter: () => selected && zoomTo(selected.node),
  Escape: () => select(null),
};

canvas.addEventListener("keydown", (event) => {
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const length = view.end - view.begin;
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) pan((sideways / canvas.clientWidth) * length);
    else zoom(1.0018 ** event.deltaY, moment(event.offsetX));
  },
  { passive: false },
);

let dragged = null;
canvas.addEventListener("pointerdown", (event) => {
  dragged = { x: event.clientX, y: event.clientY, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (dragged) {
    const [x, y] = [event.clientX - dragged.x, event.clientY - dragged.y];
    if (!dragged.moved && Math.hypot(x, y) < 4) return;
    pan((-x / canvas.clientWidth) * (view.end - view.begin));
    lanes.scrollTop -= y;
    dragged = { x: event.clientX, y: event.clientY, moved: true };
    canvas.classList.add("dragging");
    hover(null);
  } else {
    hover(sliceAt(event.offsetX, event.offsetY), event);
  }
});
canvas.addEventListener("pointerup", (event) => {
  if (dragged && !dragged.moved) select(sliceAt(event.offsetX, event.offsetY));
  canvas.classList.remove("dragging");
  dragged = null;
});
canvas.addEventListener("pointerleave", () => hover(null));
canvas.addEventListener("dblclick", (event) => {
  const slice = sliceAt(event.offsetX, event.offsetY);
  if (slice) zoomTo(slice.node);
});

function hover(slice, event) {
  if (slice !== hovered) {
    hovered = slice;
    redraw();
  }
  const tooltip = byId("tooltip");
  tooltip.hidden = !slice;
  if (!slice) return;
  tooltip.replaceChildren(...describe(slice.node));
  const left = Math.min(event.clientX + 14, innerWidth - tooltip.offsetWidth - 8);
  const below = event.clientY + 18;
  const fits = below + tooltip.offsetHeight < innerHeight - 8;
  styled({ left: `${Math.max(left, 8)}px`, top: `${fits ? below : event.clientY - tooltip.offsetHeight - 12}px` }, tooltip);
}

const overview = byId("overview");
function centre(event) {
  const at = all.begin + (event.offsetX / overview.clientWidth) * (all.end - all.begin);
  pan(at - (view.begin + view.end) / 2);
}
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  centre(event);
});
overview.addEventListener("pointermove", (event) => event.buttons === 1 && centre(event));

byId("zoom-in").addEventListener("click", () => zoom(0.5));
byId("zoom-out").addEventListener("click", () => zoom(2));
byId("zoom-all").addEventListener("click", () => show(all.begin, all.end));
lanes.addEventListener("scroll", redraw);
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColors();
  redraw();
});

// `#call-3` and `#function-3` are addresses inside of the page, so that they can be sent to somebody.
function follow() {
  const [, what, index] = /^#(call|function)-(-?\d+)$/.exec(location.hash) ?? [];
  if (what === "function") showStages(Number(index));
  if (what === "call" && calls[index]) {
    goTo(calls[index]);
    const { top } = canvas.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) byId("timeline").scrollIntoView({ block: "start" });
  }
}
addEventListener("hashchange", follow);

function start() {
  showHead();
  showShare();
  showLegend();
  showFunctions();
  showSpans();
  showMatrix();
  showWorkers();
  showSlowest();
  showFailures();
  const tall = `${Math.max(Math.min(height + 6, Math.max(320, innerHeight * 0.56)), 120)}px`;
  styled({ height: tall }, lanes);
  styled({ height: tall }, canvas);
  styled({ height: `${height + 6}px` }, byId("lanes-height"));
  readColors();
  showDetails();
  follow();
  draw();
  document.documentElement.dataset.ready = "yes";
}

start();
