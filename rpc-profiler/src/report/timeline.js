"use strict";
// The timeline: what is where, and its drawing. What the mouse and the keys do is in report.js.

const ROW = 18; // pixels, as all that follows
const HEAD = 22; // a worker's name, above its rows
const AXIS = 22;
const NAME_WIDTH = 6.1; // of a letter in a slice

const canvas = byId("canvas");
const lanes = byId("lanes");

// What a slice is; the numbers are those of the data.
const CALLER = 0;
const CALLEE = 1;
const SPAN = 2;

// One slice: its place, what it is, and for stages when which of them is.
function makeSlice(group, [row, side, index]) {
  if (side === SPAN) {
    const { began, ended, name } = spans[index];
    return { group, row, side, node: spans[index], began, ended: Math.max(began, ended), parts: [], text: name };
  }
  const call = calls[index];
  const known = call.stages.map((part, stage) => part && { stage, began: part[0], ended: part[1] });
  const parts = known.filter((part) => part && (side === CALLER || part.stage === 3 || part.stage === 4));
  const text = shortFunction(call.fn) + (side === CALLER ? ` → ${call.to.name}` : ` ← ${call.from.name}`);
  const [, encoded, written, arrived, ran, replied, answered, decoded] = call.times;
  const began = side === CALLER ? call.times[0] : (arrived ?? ran);
  const ended = side === CALLER ? (decoded ?? answered ?? written ?? encoded) : (replied ?? ran);
  return { group, row, side, node: call, began, ended: Math.max(began, ended ?? began), parts, text };
}

// Workers with their rows, of which each has its slices in order, and how far from the top they are.
const groups = [];
const slices = [];
let height = AXIS;
for (const { worker, rows, own, slices: of } of data.timeline.groups) {
  const group = { worker: data.workers[worker], index: groups.length, top: height, own, of: of.length };
  group.rows = Array.from({ length: rows }, () => []);
  for (const data of of) {
    const slice = makeSlice(group, data);
    group.rows[slice.row].push(slice);
    slices.push(slice);
  }
  groups.push(group);
  height += HEAD + rows * ROW;
}
slices.sort((a, b) => a.began - b.began || b.ended - a.ended);

// The slices of a call, by side.
const sides = new Map();
for (const slice of slices) {
  if (!sides.has(slice.node)) sides.set(slice.node, []);
  sides.get(slice.node)[slice.side] = slice;
}

// All of it in time. Workers whose clocks are not known may be anywhere and are looked for by hand.
const wall = { begin: 0, end: data.facts.wall_ns };
const all = { ...wall };
for (const slice of slices) {
  if (slice.group.worker.error_ns === null) continue;
  all.begin = Math.min(all.begin, slice.began);
  all.end = Math.max(all.end, slice.ended);
}
all.end = Math.max(all.end, all.begin + 1000);
const margin = (all.end - all.begin) * 0.01;
all.begin -= margin;
all.end += margin;

const view = { begin: all.begin, end: all.end };
let selected = null;
let hovered = null;
let colors = {};

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const named = ["card", "line", "faint", "text", "soft", "accent", "bad", "unknown", "span", "on-slice", "mono"];
  colors = Object.fromEntries(named.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  colors.stages = data.stages.map((_, stage) => style.getPropertyValue(`--stage-${stage}`).trim());
}

// Of the canvas, as it was drawn last: to ask it again for each slice takes longer than to draw them.
let width = 1;

const pixel = (ns) => ((ns - view.begin) / (view.end - view.begin)) * width;
const moment = (x) => view.begin + (x / width) * (view.end - view.begin);
const yOf = (slice) => slice.group.top + HEAD + slice.row * ROW - lanes.scrollTop;

// A canvas of the size that it has on the screen, in the screen's own pixels.
function context(of) {
  const ratio = devicePixelRatio || 1;
  const [width, tall] = [Math.round(of.clientWidth * ratio), Math.round(of.clientHeight * ratio)];
  if (of.width !== width || of.height !== tall) [of.width, of.height] = [width, tall];
  const drawing = of.getContext("2d");
  drawing.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawing.clearRect(0, 0, of.clientWidth, of.clientHeight);
  return drawing;
}

let isAsked = false;
function redraw() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    draw();
  });
}

function draw() {
  width = Math.max(canvas.clientWidth, 1);
  const drawing = context(canvas);
  drawing.font = `11px ${colors.mono}`;
  drawing.textBaseline = "middle";
  const ticks = drawGrid(drawing);
  let drawn = 0;
  for (const group of groups) drawn += drawGroup(drawing, group);
  drawArrows(drawing);
  drawAxis(drawing, ticks);
  drawOverview();
  canvas.dataset.slicesDrawn = drawn;
  canvas.dataset.viewBegin = view.begin;
  canvas.dataset.viewEnd = view.end;
  canvas.dataset.selected = selected ? selected.node.label : "";
}

// Where the lines of the time axis are.
function drawGrid(drawing) {
  const aim = ((view.end - view.begin) * 110) / width;
  const power = 10 ** Math.floor(Math.log10(aim));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= aim) ?? 10);
  const ticks = [];
  for (let at = Math.ceil(view.begin / step) * step; at <= view.end; at += step) ticks.push([at, step]);
  drawing.fillStyle = colors.faint;
  for (const [at] of ticks) drawing.fillRect(Math.round(pixel(at)), 0, 1, canvas.clientHeight);
  return ticks;
}

function drawAxis(drawing, ticks) {
  drawing.fillStyle = colors.card;
  drawing.fillRect(0, 0, width, AXIS);
  drawing.fillStyle = colors.line;
  drawing.fillRect(0, AXIS - 1, width, 1);
  for (const [at, step] of ticks) {
    const x = Math.round(pixel(at));
    drawing.fillStyle = colors.line;
    drawing.fillRect(x, AXIS - 7, 1, 7);
    drawing.fillStyle = colors.soft;
    drawing.fillText(tickText(at, step), x + 4, AXIS / 2);
  }
}

// As exact as the step from one tick to the next.
function tickText(at, step) {
  const [unit, size] = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]].find(([, size]) => step >= size / 20) ?? ["ns", 1];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
  return `${(Math.abs(at) < step / 2 ? 0 : at / size).toFixed(digits)} ${unit}`;
}

function drawGroup(drawing, group) {
  const y = group.top - lanes.scrollTop;
  if (y > canvas.clientHeight || y + HEAD + group.rows.length * ROW < AXIS) return 0;
  drawing.fillStyle = colors.faint;
  drawing.fillRect(0, y, width, HEAD - 4);
  let drawn = 0;
  group.rows.forEach((row, index) => {
    const rowTop = y + HEAD + index * ROW;
    if (rowTop + ROW < AXIS || rowTop > canvas.clientHeight) return;
    let edge = -Infinity;
    for (let next = firstInView(row); next < row.length && row[next].began <= view.end; next += 1) {
      drawn += 1;
      edge = drawSlice(drawing, row[next], rowTop, edge);
    }
  });
  if (group.own > 0 && group.own < group.rows.length) {
    drawing.fillStyle = colors.line;
    drawing.fillRect(0, y + HEAD + group.own * ROW - 2, width, 1);
  }
  drawing.fillStyle = colors.text;
  drawing.font = `600 12px system-ui, "DejaVu Sans", sans-serif`;
  drawing.fillText(group.worker.name, 8, y + HEAD / 2 - 2);
  const after = 20 + drawing.measureText(group.worker.name).width;
  drawing.font = `11px ${colors.mono}`;
  drawing.fillStyle = colors.soft;
  const clock = group.worker.is_home ? "" : group.worker.error_ns === null ? ", clock unknown" : `, clock ± ${time(group.worker.error_ns)}`;
  drawing.fillText(`${count(group.of, "slice")}${clock}`, after, y + HEAD / 2 - 2);
  return drawn;
}

// The first slice of a row that ends in the view or after it. Slices of a row do not overlap, so they end in order.
function firstInView(row) {
  let [low, high] = [0, row.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row[middle].ended < view.begin) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Draws what can be told from what is left of `edge`, and returns the new edge.
function drawSlice(drawing, slice, y, edge) {
  const x = Math.max(pixel(slice.began), -2);
  const wide = Math.max(Math.min(pixel(slice.ended), width + 2) - x, 1);
  const isMarked = slice === hovered || (selected && slice.node === selected.node);
  if (x + wide < edge + 0.4 && !isMarked) return edge;
  const tall = ROW - 3;
  const failed = slice.side !== SPAN && !slice.node.ok;
  if (wide < 3) {
    drawing.fillStyle = failed ? colors.bad : mainColor(slice);
    drawing.fillRect(x, y, wide, tall);
  } else {
    drawing.fillStyle = slice.side === SPAN ? colors.span : colors.unknown;
    drawing.fillRect(x, y, wide, tall);
    for (const { stage, began, ended } of slice.parts) {
      const from = Math.max(pixel(began), x);
      const to = Math.min(pixel(ended), x + wide);
      drawing.fillStyle = colors.stages[stage];
      if (to > from) drawing.fillRect(from, y, to - from, tall);
    }
    if (failed) {
      drawing.strokeStyle = colors.bad;
      drawing.lineWidth = 2;
      drawing.strokeRect(x + 1, y + 1, Math.max(wide - 2, 0.5), tall - 2);
    }
    drawText(drawing, slice, x, y + tall / 2, wide);
  }
  if (isMarked) {
    drawing.strokeStyle = slice === hovered ? colors.soft : colors.text;
    drawing.lineWidth = slice === hovered ? 1 : 2;
    drawing.strokeRect(x - 0.5, y - 0.5, wide + 1, tall + 1);
  }
  return x + wide;
}

function mainColor(slice) {
  if (slice.side === SPAN) return colors.span;
  const longest = slice.parts.reduce((a, b) => (b.ended - b.began > a.ended - a.began ? b : a), slice.parts[0] ?? {});
  return colors.stages[longest.stage] ?? colors.soft;
}

function drawText(drawing, slice, x, y, wide) {
  const room = Math.floor((wide - 8) / NAME_WIDTH);
  const failed = slice.side !== SPAN && !slice.node.ok;
  const text = failed ? `✕ ${slice.text}` : slice.text;
  if (room < 3) return;
  drawing.fillStyle = slice.side === SPAN || slice.parts.length === 0 ? colors.text : colors["on-slice"];
  drawing.fillText(text.length > room ? `${text.slice(0, room - 1)}…` : text, x + 4, y + 0.5);
}

// From the selected call to its handler and back, and to it from what it is in.
function drawArrows(drawing) {
  const [caller, callee] = (selected && sides.get(selected.node)) || [];
  if (!caller || !callee || selected.side === SPAN) return;
  const { times } = selected.node;
  arrow(drawing, [times[2] ?? times[1] ?? caller.began, caller], [callee.began, callee]);
  if (times[6] !== null && times[5] !== null) arrow(drawing, [callee.ended, callee], [times[6], caller]);
}

function arrow(drawing, [fromTime, from], [toTime, to]) {
  const down = yOf(to) > yOf(from);
  const middle = (ROW - 3) / 2;
  const [x1, y1] = [pixel(fromTime), yOf(from) + (down ? ROW - 3 : 0)];
  const [x2, y2] = [pixel(toTime), yOf(to) + (down ? 0 : ROW - 3)];
  const bend = Math.max(Math.abs(y2 - y1) / 2, middle) * (down ? 1 : -1);
  drawing.strokeStyle = drawing.fillStyle = colors.text;
  drawing.lineWidth = 1.5;
  drawing.beginPath();
  drawing.moveTo(x1, y1);
  drawing.bezierCurveTo(x1, y1 + bend, x2, y2 - bend, x2, y2);
  drawing.stroke();
  const tip = down ? -6 : 6;
  drawing.beginPath();
  drawing.moveTo(x2, y2);
  drawing.lineTo(x2 - 3.5, y2 + tip);
  drawing.lineTo(x2 + 3.5, y2 + tip);
  drawing.fill();
}

// How much goes on where, one row a worker; and what of it is in view.
function drawOverview() {
  const overview = byId("overview");
  const drawing = context(overview);
  const [width, tall] = [overview.clientWidth, overview.clientHeight];
  drawing.drawImage(overviewOf(overview), 0, 0, width, tall);
  const x = (ns) => ((ns - all.begin) / (all.end - all.begin)) * width;
  const [from, to] = [x(view.begin), x(view.end)];
  drawing.globalAlpha = 0.78;
  drawing.fillStyle = colors.card;
  drawing.fillRect(0, 0, from, tall);
  drawing.fillRect(to, 0, width - to, tall);
  drawing.globalAlpha = 1;
  drawing.fillStyle = colors.text;
  drawing.fillRect(Math.max(from - 1, 0), 0, 2, tall);
  drawing.fillRect(Math.min(to, width - 2), 0, 2, tall);
}

// The first part of that, which stays until the width or the colours change.
let keptOverview = null;
function overviewOf(overview) {
  if (keptOverview?.width === overview.width && keptOverview.colors === colors) return keptOverview.image;
  const image = document.createElement("canvas");
  [image.width, image.height] = [overview.width, overview.height];
  const drawing = image.getContext("2d");
  const ratio = overview.width / overview.clientWidth;
  const row = (image.height - 6 * ratio) / Math.max(groups.length, 1);
  const place = (group) => [3 * ratio + group.index * row, Math.max(row - ratio, 0.5)];
  const x = (ns) => ((ns - all.begin) / (all.end - all.begin)) * image.width;
  drawing.fillStyle = colors.accent;
  for (const group of groups) {
    levels(group, image.width, x).forEach((level, column) => {
      drawing.globalAlpha = level === 0 ? 0 : 0.25 + 0.75 * level;
      drawing.fillRect(column, place(group)[0], 1, place(group)[1]);
    });
  }
  drawing.globalAlpha = 1;
  drawing.fillStyle = colors.bad;
  for (const { group, side, node, began } of slices) {
    if (side === CALLER && !node.ok) drawing.fillRect(x(began), place(group)[0], 2 * ratio, place(group)[1]);
  }
  keptOverview = { image, width: overview.width, colors };
  return image;
}

// How many slices of `group` there are in each column, against its fullest one.
function levels(group, width, x) {
  const levels = new Array(width).fill(0);
  for (const { began, ended } of group.rows.flat()) {
    const last = Math.min(Math.floor(x(ended)), width - 1);
    for (let column = Math.max(Math.floor(x(began)), 0); column <= last; column += 1) levels[column] += 1;
  }
  const highest = levels.reduce((a, b) => Math.max(a, b), 1);
  return levels.map((level) => level / highest);
}

// What is at a place of the canvas.
function sliceAt(x, y) {
  const below = y + lanes.scrollTop;
  if (y < AXIS) return null;
  const group = groups.find(({ top, rows }) => below >= top + HEAD && below < top + HEAD + rows.length * ROW);
  const row = group?.rows[Math.floor((below - group.top - HEAD) / ROW)] ?? [];
  let [best, distance] = [null, 4];
  for (let next = firstInView(row); next < row.length && row[next].began <= view.end; next += 1) {
    const away = Math.max(pixel(row[next].began) - x, x - pixel(row[next].ended), 0);
    if (away < distance) [best, distance] = [row[next], away];
    if (pixel(row[next].began) > x + 4) break;
  }
  return best;
}

// Shows from `begin` to `end`, or as much of that as there is; not less than a hundred nanoseconds.
function show(begin, end) {
  const reach = [Math.min(all.begin, begin), Math.max(all.end, end)];
  const length = Math.min(Math.max(end - begin, 100), reach[1] - reach[0]);
  view.begin = Math.max(reach[0], Math.min((begin + end - length) / 2, reach[1] - length));
  view.end = view.begin + length;
  redraw();
}

function zoom(factor, around = (view.begin + view.end) / 2) {
  const length = Math.min((view.end - view.begin) * factor, all.end - all.begin);
  const part = (around - view.begin) / (view.end - view.begin);
  const begin = Math.max(all.begin, Math.min(around - part * length, all.end - length));
  show(begin, begin + length);
}

function pan(ns) {
  const length = view.end - view.begin;
  const begin = Math.max(all.begin, Math.min(view.begin + ns, all.end - length));
  show(begin, begin + length);
}

// Shows a call or span from end to end, with as much around it, and its lane.
function zoomTo(node) {
  const of = (sides.get(node) ?? []).filter((slice) => slice);
  if (of.length === 0) return;
  const begin = Math.min(...of.map((slice) => slice.began));
  const end = Math.max(...of.map((slice) => slice.ended));
  const around = Math.max((end - begin) * 0.4, 200);
  show(begin - around, end + around);
  reveal(...of);
}

// Scrolls so that the rows of `of` are to be seen: all of them, if there is room, or else the first.
function reveal(...of) {
  const ys = of.map(yOf);
  const [highest, lowest] = [Math.min(...ys), Math.max(...ys) + ROW];
  const [from, to] = [AXIS + HEAD, lanes.clientHeight - ROW];
  if (highest >= from && lowest <= to) return;
  const fits = lowest - highest <= to - from;
  lanes.scrollTop += fits ? (highest + lowest) / 2 - (from + to) / 2 : ys[0] - (from + to) / 3;
}
