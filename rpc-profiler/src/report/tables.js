"use strict";
// The tables. What a test reads is in attributes `data-…`.

// A table of `columns` and `rows`. A column has a title, says what is in its cell of a row, and by what rows are sorted; the first
// one heads its rows.
function fillTable(table, caption, columns, rows, attributes = () => ({})) {
  const head = columns.map((column) =>
    el(
      "th",
      { scope: "col", class: classOf(column) || null },
      column.sort ? el("button", { type: "button", click: () => sortBy(column) }, column.title) : column.title,
    ),
  );
  const body = el("tbody");
  function sortBy(column) {
    const header = head[columns.indexOf(column)];
    const descending = header.getAttribute("aria-sort") !== "descending";
    head.forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const order = (a, b) => (column.sort(a.row) < column.sort(b.row) ? -1 : column.sort(a.row) > column.sort(b.row) ? 1 : 0);
    made.sort((a, b) => (descending ? order(b, a) : order(a, b)));
    body.replaceChildren(...made.map(({ line }) => line));
  }
  const made = rows.map((row) => {
    const cells = columns.map((column, index) => {
      const kind = classOf(column);
      const content = column.cell(row);
      const isCut = column.class === "name" || column.class === "said";
      const title = isCut ? content.title || (content.textContent ?? content) : null;
      return el(index === 0 ? "th" : "td", { class: kind || null, scope: index === 0 ? "row" : null, title }, content);
    });
    return { row, line: el("tr", attributes(row), ...cells) };
  });
  body.append(...made.map(({ line }) => line));
  table.replaceChildren(el("caption", {}, caption), el("thead", {}, el("tr", {}, ...head)), body);
}

const classOf = (column) => [column.number ? "num" : "", column.class ?? ""].join(" ").trim();

const numeric = (title, value, show) => ({ title, number: true, sort: value, cell: (row) => show(value(row)) });

function meter(part, whole) {
  const filled = styled({ width: `${whole > 0 ? (100 * part) / whole : 0}%` }, el("span"));
  return el("span", {}, el("b", {}, percent(part, whole)), el("span", { class: "meter", "aria-hidden": "true" }, filled));
}

// Durations are drawn on a logarithmic scale, those below ten nanoseconds at its beginning.
const scale = (ns) => Math.log10(Math.max(ns, 10));

// The whole powers of ten around all `distributions`.
function domainOf(distributions) {
  const known = distributions.filter((distribution) => distribution !== null);
  if (known.length === 0) return [1, 2];
  const begin = Math.min(...known.map(({ buckets }) => scale(buckets[0][0])));
  const end = Math.max(...known.map(({ buckets }) => scale(buckets.at(-1)[1])));
  return [Math.floor(begin), Math.max(Math.ceil(end), Math.floor(begin) + 1)];
}

const domainText = ([begin, end]) => `${begin === 1 ? "≤ " : ""}${power(begin)} … ${power(end)}`;

const power = (of) => time(10 ** of).replace(/\.0+ /, " ");

function histogram(distribution, [begin, end], color, what) {
  if (distribution === null) return el("span", { class: "note" }, "not known");
  const x = (ns) => (1000 * (scale(ns) - begin)) / (end - begin);
  const highest = Math.max(...distribution.buckets.map(([, , number]) => number));
  const grid = [];
  for (let decade = begin; decade <= end; decade += 1) {
    const at = (1000 * (decade - begin)) / (end - begin);
    grid.push(el("line", { class: "axis", x1: at, x2: at, y1: 0, y2: 100, "vector-effect": "non-scaling-stroke" }));
  }
  const bars = distribution.buckets.map(([from, to, number]) => {
    const height = Math.max(4, (96 * number) / highest);
    const width = Math.max(x(to) - x(from), 4);
    const text = `${time(from)} to ${time(to)}: ${count(number, what)}`;
    const place = { x: x(from), width, y: 100 - height, height, "data-from": from, "data-to": to, "data-count": number };
    const bar = el("rect", { class: "bar-of", ...place }, el("title", {}, text));
    return color ? styled({ fill: color }, bar) : bar;
  });
  const marks = ["p50", "p99"].map((name) => {
    const at = x(distribution[name]);
    return el("line", { class: name, x1: at, x2: at, y1: 0, y2: 100, "vector-effect": "non-scaling-stroke" });
  });
  const label = `${count(distribution.count, what)}, p50 ${time(distribution.p50)}, p99 ${time(distribution.p99)}`;
  const attributes = { class: "histogram", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img" };
  return el("svg", { ...attributes, "aria-label": label }, ...grid, ...bars, ...marks);
}

const distributionColumns = (of, domain, color = () => null, what = "call") => [
  { ...numeric("mean", (row) => (of(row) ? mean(of(row)) : null), time), class: "roomy" },
  numeric("p50", (row) => of(row)?.p50 ?? null, time),
  numeric("p99", (row) => of(row)?.p99 ?? null, time),
  numeric("max", (row) => of(row)?.max ?? null, time),
  { title: domainText(domain), class: "chart", cell: (row) => histogram(of(row), domain, color(row), what) },
];

const failedText = (failed) => (failed > 0 ? el("span", { class: "bad" }, integer.format(failed)) : "0");

function showFunctions() {
  const { all, rows, left_out: leftOut } = data.functions;
  if (all.total === null) {
    byId("functions-table").replaceChildren(el("caption", { class: "empty" }, "No calls were recorded."));
    return;
  }
  const everything = { ...all, key: "all functions", index: -1 };
  const lines = [everything, ...rows.map((row, index) => ({ ...row, index }))];
  const domain = domainOf(lines.map((row) => row.total));
  const columns = [
    { title: "function", class: "name", sort: (row) => row.key, cell: functionLink },
    numeric("calls", (row) => row.total.count, (value) => integer.format(value)),
    { title: "failed", number: true, sort: (row) => row.failed, cell: (row) => failedText(row.failed) },
    numeric("total", (row) => row.total.sum, time),
    { title: "share", class: "share-cell", cell: (row) => meter(row.total.sum, all.total.sum) },
    ...distributionColumns((row) => row.total, domain),
  ];
  const caption = "What calls took for their callers. Histograms are on a logarithmic scale; lines in them are the median and, in red, p99.";
  fillTable(byId("functions-table"), caption, columns, lines, (row) => ({
    "data-function": row.key,
    "data-index": row.index,
    ...distributionAttributes(row.total),
    "data-failed": row.failed,
  }));
  byId("functions-note").textContent =
    (leftOut > 0 ? `The ${rows.length} that took most; ${count(leftOut, "other")} only in the sum. ` : "") +
    "A function leads to its stages.";
  showStages(-1);
}

const functionLink = (row) => el("a", { href: `#function-${row.index}`, title: row.key }, shortFunction(row.key));

const distributionAttributes = (distribution) =>
  distribution === null
    ? { "data-count": 0 }
    : {
        "data-count": distribution.count,
        "data-sum": distribution.sum,
        "data-p50": distribution.p50,
        "data-p99": distribution.p99,
        "data-max": distribution.max,
      };

// Of the function with that index; of all for -1.
function showStages(index) {
  const latencies = data.functions.rows[index] ?? data.functions.all;
  // Where clocks are not known well, stages may be longer together than their calls.
  const known = latencies.stages.reduce((sum, stage) => sum + (stage?.sum ?? 0), 0);
  const sum = Math.max(known, latencies.total?.sum ?? 0);
  const rows = data.stages.map((name, stage) => ({ name, stage, distribution: latencies.stages[stage] }));
  const domain = domainOf(latencies.stages);
  const columns = [
    { title: "stage", cell: (row) => el("span", {}, swatch(stageColor(row.stage)), row.name) },
    numeric("calls", (row) => row.distribution?.count ?? 0, (value) => integer.format(value)),
    numeric("total", (row) => row.distribution?.sum ?? null, time),
    { title: "share", class: "share-cell", cell: (row) => meter(row.distribution?.sum ?? 0, sum) },
    ...distributionColumns((row) => row.distribution, domain, (row) => stageColor(row.stage)),
  ];
  fillTable(byId("stages-table"), "From the caller's arguments to its result.", columns, rows, (row) => ({
    "data-stage": row.name,
    ...distributionAttributes(row.distribution),
  }));
  byId("stages-note").textContent = data.functions.rows[index]?.key ?? "All functions";
  byId("stages-note").className = index in data.functions.rows ? "mono" : "note";
  for (const line of byId("functions-table").querySelectorAll("tbody tr")) {
    line.setAttribute("aria-selected", line.dataset.index === String(index));
  }
}

// What users have named.
function showSpans() {
  const { rows, left_out: leftOut } = data.spans;
  if (rows.length === 0) {
    byId("spans-table").replaceChildren(el("caption", { class: "empty" }, "No spans of one's own were recorded: rpc::record_function makes them."));
    return;
  }
  const columns = [
    { title: "span", class: "name", sort: (row) => row.name, cell: (row) => row.name },
    numeric("spans", (row) => row.took.count, (value) => integer.format(value)),
    numeric("workers", (row) => row.workers, (value) => integer.format(value)),
    numeric("total", (row) => row.took.sum, time),
    ...distributionColumns((row) => row.took, domainOf(rows.map((row) => row.took)), () => null, "span"),
  ];
  const caption = "From their begin to their end, with what they have called and waited for. What is in each other is counted in both.";
  fillTable(byId("spans-table"), caption, columns, rows, (row) => ({
    "data-span": row.name,
    "data-workers": row.workers,
    ...distributionAttributes(row.took),
  }));
  byId("spans-note").textContent = leftOut > 0 ? `The ${rows.length} names that took most; ${count(leftOut, "other")} left out.` : "";
}

const heats = {
  calls: (cell) => cell.calls,
  bytes: (cell) => cell.request_bytes + cell.response_bytes,
  "mean latency": (cell) => cell.took_ns / cell.calls,
};

function showMatrix() {
  const choices = Object.keys(heats).map((name) =>
    el("button", { type: "button", click: () => heatMatrix(name) }, name),
  );
  byId("matrix-heat").append(...choices);
  const { workers, cells } = data.matrix;
  const found = new Map(cells.map((cell) => [`${cell.from} ${cell.to}`, cell]));
  const indices = workers.map((_, index) => index);
  const header = el("tr", {}, el("th", { scope: "col" }, "from ↓ to →"), ...workers.map((name) => el("th", { scope: "col" }, name)), el("th", { scope: "col" }, "made"));
  const lines = indices.map((from) => {
    const line = indices.map((to) => matrixCell(found.get(`${from} ${to}`), `${workers[from]}-${workers[to]}`));
    const made = sumCell(cells.filter((cell) => cell.from === from), `${workers[from]}-`);
    return el("tr", {}, el("th", { scope: "row" }, workers[from]), ...line, made);
  });
  const served = indices.map((to) => sumCell(cells.filter((cell) => cell.to === to), `-${workers[to]}`));
  const last = el("tr", {}, el("th", { scope: "row" }, "served"), ...served, sumCell(cells, "-"));
  const caption = "Calls from the worker of the row to that of the column: bytes sent → and received ←, and what they took on average.";
  byId("matrix-table").append(el("caption", {}, caption), el("thead", {}, header), el("tbody", {}, ...lines, last));
  heatMatrix("calls");
}

function matrixCell(cell, pair, kind = null) {
  if (!cell) return el("td", { class: "none", "data-pair": pair, "data-calls": 0 }, "·");
  const attributes = {
    class: kind,
    "data-pair": pair,
    "data-calls": cell.calls,
    "data-failed": cell.failed,
    "data-request-bytes": cell.request_bytes,
    "data-response-bytes": cell.response_bytes,
    "data-took-ns": cell.took_ns,
  };
  const failed = cell.failed > 0 ? el("span", { class: "bad" }, ` ${integer.format(cell.failed)} failed`) : null;
  return el(
    "td",
    attributes,
    el("div", {}, el("b", {}, integer.format(cell.calls)), failed),
    el("div", {}, `${bytes(cell.request_bytes)} → ${bytes(cell.response_bytes)} ←`),
    el("div", {}, `${time(cell.took_ns / cell.calls)}`),
  );
}

function sumCell(cells, pair) {
  if (cells.length === 0) return matrixCell(undefined, pair);
  const sum = (of) => cells.reduce((sum, cell) => sum + of(cell), 0);
  const together = {
    calls: sum((cell) => cell.calls),
    failed: sum((cell) => cell.failed),
    request_bytes: sum((cell) => cell.request_bytes),
    response_bytes: sum((cell) => cell.response_bytes),
    took_ns: sum((cell) => cell.took_ns),
  };
  return matrixCell(together, pair, "sum");
}

function heatMatrix(name) {
  const highest = Math.max(1, ...data.matrix.cells.map(heats[name]));
  for (const choice of byId("matrix-heat").children) {
    choice.setAttribute("aria-pressed", choice.textContent === name);
  }
  for (const cell of byId("matrix-table").querySelectorAll("td[data-took-ns]:not(.sum)")) {
    const value = heats[name]({
      calls: Number(cell.dataset.calls),
      request_bytes: Number(cell.dataset.requestBytes),
      response_bytes: Number(cell.dataset.responseBytes),
      took_ns: Number(cell.dataset.tookNs),
    });
    cell.style.setProperty("--heat", value / highest);
  }
}

function showWorkers() {
  const clock = ({ is_home: isHome, is_here: isHere, error_ns: error }) =>
    isHome ? "this profile's clock" : error === null ? "unknown: not corrected" : `± ${time(error)}${isHere ? ", one machine" : ""}`;
  const columns = [
    { title: "worker", cell: (row) => row.name },
    numeric("rank", (row) => row.rank, String),
    numeric("calls made", (row) => row.made, (value) => integer.format(value)),
    numeric("calls served", (row) => row.served, (value) => integer.format(value)),
    numeric("clock is ahead by", (row) => row.offset_ns, time),
    { title: "known to", number: true, cell: clock },
  ];
  const caption = "Workers of one machine have one clock; those of others are compared by round trips. All times are on that of the worker that recorded.";
  fillTable(byId("workers-table"), caption, columns, data.workers, (row) => ({
    "data-worker": row.name,
    "data-clock-error-ns": row.error_ns ?? "unknown",
    "data-clock-offset-ns": row.offset_ns,
    "data-made": row.made,
    "data-served": row.served,
  }));
}

// The stages of a call as one bar.
function stageBar(call) {
  const known = knownStages(call);
  const parts = known.map(([stage, ns]) =>
    styled({ width: `${(100 * ns) / Math.max(took(call), 1)}%`, background: stageColor(stage) }, el("span")),
  );
  const text = known.map(([stage, ns]) => `${data.stages[stage]} ${time(ns)}`).join(", ");
  return el("div", { class: "stages", role: "img", "aria-label": text, title: text }, ...parts);
}

const outcomeBadge = (outcome, error = null) =>
  el("span", { class: outcome === "ok" ? "badge" : "badge bad", title: error }, outcome.replaceAll("_", " "));

function showSlowest() {
  const rows = data.slowest.map((index, place) => ({ place: place + 1, call: calls[index] }));
  const columns = [
    numeric("", (row) => row.place, String),
    { title: "call", class: "name", sort: (row) => row.call.label, cell: ({ call }) => callLink(call) },
    { ...numeric("began", (row) => row.call.began, time), class: "roomy" },
    numeric("took", (row) => took(row.call), time),
    { title: "stages", cell: (row) => stageBar(row.call) },
    { ...numeric("sent", (row) => row.call.traffic[0], bytes), class: "roomy" },
    { ...numeric("received", (row) => row.call.traffic[2], bytes), class: "roomy" },
    { title: "outcome", sort: (row) => row.call.outcome, cell: (row) => outcomeBadge(row.call.outcome, row.call.error) },
  ];
  fillTable(byId("slowest-table"), `The ${count(rows.length, "call")} that took longest.`, columns, rows, ({ call }) => ({
    "data-call": call.index,
    "data-key": call.label,
    "data-took-ns": took(call),
    "data-outcome": call.outcome,
  }));
}

const callLink = (call) => el("a", { href: `#call-${call.index}`, title: call.label }, shortLabel(call.label));

function showFailures() {
  const { rows, left_out: leftOut } = data.failures;
  const { failed, timed_out: timedOut } = data.facts;
  byId("failures-note").textContent =
    failed === 0 ? "" : `${count(failed, "call")}, of which ${integer.format(timedOut)} timed out` + (leftOut > 0 ? `; ${leftOut} kinds are left out` : "");
  if (rows.length === 0) {
    byId("failures-table").replaceChildren(el("caption", { class: "empty" }, "All calls ended with a result."));
    return;
  }
  const columns = [
    { title: "outcome", sort: (row) => row.outcome, cell: (row) => outcomeBadge(row.outcome) },
    { title: "function", class: "name", sort: (row) => row.key, cell: (row) => el("span", { title: row.key }, shortFunction(row.key)) },
    { title: "what the first one said", class: "said", cell: (row) => row.error ?? "–" },
    numeric("calls", (row) => row.count, (value) => integer.format(value)),
    { title: "the first one", class: "name", cell: ({ example }) => (example === null ? "–" : callLink(calls[example])) },
    numeric("began", ({ example }) => (example === null ? null : calls[example].began), time),
  ];
  fillTable(byId("failures-table"), "Functions and how their calls failed.", columns, rows, (row) => ({
    "data-outcome": row.outcome,
    "data-function": row.key,
    "data-count": row.count,
    "data-error": row.error,
  }));
}
