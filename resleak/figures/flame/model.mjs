/**
 * What is known of a flamegraph: arrays in, totals out. Nothing here knows of a page.
 *
 * A tree is kept as columns in pre-order. Node 0 is everything; the subtree of a node is what lies
 * between it and `end`. Values are kept in channels, each of which adds up: see `BYTES` and so on.
 */

/** Channels of own and total values; the last three are there in a difference only. */
export const [BYTES, COUNT, BEFORE, COUNT_BEFORE, CHANGE] = [0, 1, 2, 3, 4];
export const [OTHER, STUDIED, LIBRARY, NO_FILE] = [0, 1, 2, 3];
const IMPORTING = 4;
/** Narrower frames, in pixels, are drawn as one with their neighbours. */
export const NARROW = 0.5;

// ---- reading what Python wrote ------------------------------------------------------------------

/**
 * Read a payload.
 * @param {object} payload as `encode.py` writes it
 * @returns {Promise<object>} the profile: names, frames, tree, sides
 */
export async function decode(payload) {
  const strings = payload.strings ?? JSON.parse(new TextDecoder().decode(await gunzip(payload.packed)));
  const next = numbers(await gunzip(payload.bdata));
  const column = (length, Type) => filled(new Type(length), next);
  const { size, kinds } = payload;
  const named = () => column(kinds, Int32Array);
  const [name, file, line] = [named(), named(), named()];
  const kind = column(kinds, Uint8Array);
  const frames = {
    name, file, line, size: kinds,
    kind: kind.map((k) => k % IMPORTING), importing: kind.map((k) => (k >= IMPORTING ? 1 : 0)),
  };
  const tree = skeleton(column(size, Int32Array), column(size, Int32Array));
  const sides = payload.sides.map((side) => readSide(side, next, size));
  const profile = { strings, frames, sides, ...tree };
  return { ...profile, site: sitesOf(profile) };
}

/** Text of a frame's function, and where it stands. */
export const functionOf = (p, frame) => p.strings[p.frames.name[frame]] ?? "?";
export const fileOf = (p, frame) => p.strings[p.frames.file[frame]] ?? "?";
export const placeOf = (p, frame) =>
  fileOf(p, frame) && `${fileOf(p, frame)}:${p.frames.line[frame]}`;

async function gunzip(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Return a function that reads the next number; seven bits a byte, the lowest first. */
function numbers(bytes) {
  let at = 0;
  return () => {
    let value = 0;
    let byte = bytes[at++];
    for (let scale = 1; ; scale *= 128, byte = bytes[at++]) {
      value += (byte & 127) * scale;
      if (!(byte > 127)) return value;
    }
  };
}

function filled(array, next) {
  for (let i = 0; i < array.length; i++) array[i] = next();
  return array;
}

const unfold = (value) => (value % 2 ? -(value + 1) / 2 : value / 2);

/** Turn "how many levels up" into parents, depths and ends, with node 0 above all. */
function skeleton(up, frameOf) {
  const size = up.length + 1;
  const [parent, depth, frame] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
  frame[0] = parent[0] = -1;
  const open = [0];
  for (let node = 1; node < size; node++) {
    depth[node] = Math.max(1, depth[node - 1] + 1 - up[node - 1]);
    parent[node] = open[depth[node] - 1];
    frame[node] = frameOf[node - 1];
    open[depth[node]] = node;
  }
  return { size, parent, depth, frame, end: ends(parent) };
}

function ends(parent) {
  const end = new Int32Array(parent.length);
  for (let node = 0; node < end.length; node++) end[node] = node + 1;
  for (let node = end.length - 1; node > 0; node--) {
    if (end[node] > end[parent[node]]) end[parent[node]] = end[node];
  }
  return end;
}

function readSide({ edges, rows, parts, per }, next, size) {
  const starts = [0];
  for (const count of rows) starts.push(starts.at(-1) + count);
  const length = starts.at(-1);
  const node = filled(new Int32Array(length), next);
  for (let w = 0; w < rows.length; w++) {
    for (let i = starts[w], last = 0; i < starts[w + 1]; i++) {
      last = Math.min(last + node[i], size);
      node[i] = last;
    }
  }
  const [bytes, count] = parts.map((part) =>
    filled(new Float64Array(length), () => unfold(next()) / part));
  return { edges, per, starts, node, bytes, count };
}

/** For each node, the frame that answers for it: innermost studied, else innermost of no library. */
function sitesOf({ size, parent, frame, frames }) {
  const site = Int32Array.from(frame);
  const rank = new Uint8Array(size);
  for (let node = 1; node < size; node++) {
    const kind = frames.kind[frame[node]];
    rank[node] = kind === STUDIED ? 2 : kind === LIBRARY ? 0 : 1;
    const above = parent[node];
    if (rank[above] > rank[node]) [rank[node], site[node]] = [rank[above], site[above]];
  }
  return site;
}

// ---- what grew in a window ----------------------------------------------------------------------

/**
 * What each stack gained between two moments, per step.
 * @param {?number[]} span from and to, on the axis of `edges`; all of it without
 * @param {object} [room] an earlier answer, whose arrays are used again
 * @returns own: the channels; net: bytes of each side, where shrinking counts too; steps of each side
 */
export function grownIn(profile, span, room = emptyRoom(profile)) {
  const { own, net, blocks } = room;
  const steps = profile.sides.map((side, s) => {
    const taken = gains(side, span, net[s], blocks[s]);
    growing(net[s], blocks[s], own[2 * s], own[2 * s + 1]);
    return taken;
  });
  if (own[CHANGE]) changing(own[BYTES], own[BEFORE], own[CHANGE]);
  return { ...room, steps };
}

function emptyRoom({ size, sides }) {
  const rows = (count) => Array.from({ length: count }, () => new Float64Array(size));
  return { own: rows(sides.length > 1 ? 5 : 2), net: rows(sides.length), blocks: rows(sides.length) };
}

function gains(side, span, bytes, count) {
  const [from, to] = windowsIn(side.edges, span);
  const steps = to > from ? side.edges[to] - side.edges[from] : 0;
  bytes.fill(0);
  count.fill(0);
  if (!(steps > 0)) return 0;
  for (let i = side.starts[from]; i < side.starts[to]; i++) {
    bytes[side.node[i]] += side.bytes[i] / steps;
    count[side.node[i]] += side.count[i] / steps;
  }
  return steps;
}

/** Stacks that shrank count as nothing, so that a total is never below one of its parts. */
function growing(bytes, count, ownBytes, ownCount) {
  for (let node = 0; node < bytes.length; node++) {
    const grew = bytes[node] > 0;
    ownBytes[node] = grew ? bytes[node] : 0;
    ownCount[node] = grew ? count[node] : 0;
  }
}

function changing(after, before, change) {
  for (let node = 0; node < change.length; node++) change[node] = Math.abs(after[node] - before[node]);
}

/** Return the windows [from, to) whose edges are nearest to a span. */
export function windowsIn(edges, span) {
  return span ? span.map((x) => nearest(edges, x)) : [0, Math.max(edges.length - 1, 0)];
}

const nearest = (edges, x) =>
  edges.reduce((best, edge, i) => (Math.abs(edge - x) < Math.abs(edges[best] - x) ? i : best), 0);

/** Net bytes gained since the first edge, at each edge. */
export function cumulated({ edges, starts, bytes }) {
  const live = [0];
  for (let w = 0; w + 1 < edges.length; w++) {
    let gain = 0;
    for (let i = starts[w]; i < starts[w + 1]; i++) gain += bytes[i];
    live.push(live[w] + gain);
  }
  return live;
}

/** Add to each node what its subtree has, in one sweep from the end. */
export function totalsOf(parent, own, total = new Float64Array(own.length)) {
  total.set(own);
  for (let node = total.length - 1; node > 0; node--) total[parent[node]] += total[node];
  return total;
}

/** Sum values by the frame of their nodes. */
export function byFrame(profile, values, frameOf = profile.frame) {
  const sum = new Float64Array(profile.frames.size);
  for (let node = 1; node < profile.size; node++) sum[frameOf[node]] += values[node];
  return sum;
}

/** Sum net growth by site: rows of frame and bytes per step of each side, without those of 0. */
export function sitesIn(profile, net) {
  const sums = net.map((values) => byFrame(profile, values, profile.site));
  const frames = Array.from(sums[0].keys());
  return frames
    .filter((frame) => sums.some((sum) => sum[frame] !== 0))
    .map((frame) => ({ frame, bytes: sums[0][frame], before: sums[1]?.[frame] ?? 0 }));
}

// ---- other views of the same stacks -------------------------------------------------------------

/** The whole, callers first; the arrays of an earlier one are used again. */
export function wholeTree(profile, own, room) {
  const { size, parent, depth, end, frame } = profile;
  const total = own.map((values, c) => totalsOf(parent, values, room?.total[c]));
  return { size, parent, depth, end, frame, own, total };
}

/** Callers first without some frames: what they call attaches to the nearest that is kept. */
export function withoutHidden(profile, own, hidden, channel) {
  const merger = new Merger(own);
  const at = new Int32Array(profile.size);
  for (let node = 1; node < profile.size; node++) {
    const above = at[profile.parent[node]];
    const frame = profile.frame[node];
    at[node] = hidden[frame] ? above : merger.child(above, frame);
    merger.add(at[node], node);
  }
  return merger.tree(channel);
}

/** Leaf first: below each frame, who called it. */
export function inverted(profile, own, hidden, channel) {
  const merger = new Merger(own);
  // After and, in a difference, before: where both are 0, so is every other channel.
  const [after, before] = [own[BYTES], own[BEFORE] ?? own[BYTES]];
  for (let node = 1; node < profile.size; node++) {
    if (after[node] || before[node]) merger.add(climb(profile, merger, node, hidden), node);
  }
  return merger.tree(channel);
}

function climb({ parent, frame }, merger, node, hidden) {
  let at = 0;
  for (let up = node; up > 0; up = parent[up]) {
    if (!hidden[frame[up]]) at = merger.child(at, frame[up]);
  }
  return at;
}

/** One frame, wherever it is called from: who called it, and what it calls. */
export function sandwich(profile, { own, total }, hidden, channel, focus) {
  const [callers, callees] = [new Merger(total), new Merger(own)];
  const places = outermost(profile, (frame) => frame === focus);
  for (const place of places) {
    callers.add(climb(profile, callers, profile.parent[place], hidden), place);
    below(profile, callees, place, hidden);
  }
  return { up: callers.tree(channel, focus), down: callees.tree(channel, focus) };
}

function below({ parent, frame, end }, merger, top, hidden) {
  const at = new Int32Array(end[top] - top);
  merger.add(0, top);
  for (let node = top + 1; node < end[top]; node++) {
    const above = at[parent[node] - top];
    at[node - top] = hidden[frame[node]] ? above : merger.child(above, frame[node]);
    merger.add(at[node - top], node);
  }
}

/** Builds a tree of merged stacks; finds a child by its frame with a table of open addresses. */
class Merger {
  constructor(channels) {
    this.channels = channels;
    this.size = 1;
    this.room(1024);
    this.frame[0] = this.parent[0] = -1;
  }

  room(capacity) {
    const grown = (Type, old) => {
      const array = new Type(capacity);
      if (old) array.set(old);
      return array;
    };
    this.parent = grown(Int32Array, this.parent);
    this.frame = grown(Int32Array, this.frame);
    this.own = this.channels.map((_, c) => grown(Float64Array, this.own?.[c]));
    this.table = new Int32Array(4 * capacity);
    for (let node = 1; node < this.size; node++) {
      this.table[this.slot(this.parent[node], this.frame[node])] = node;
    }
  }

  slot(parent, frame) {
    const mask = this.table.length - 1;
    const hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(frame, 0x85ebca6b);
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const node = this.table[slot];
      if (!node || (this.parent[node] === parent && this.frame[node] === frame)) return slot;
    }
  }

  child(parent, frame) {
    const slot = this.slot(parent, frame);
    if (this.table[slot]) return this.table[slot];
    const node = this.size;
    this.table[slot] = node;
    this.parent[node] = parent;
    this.frame[node] = frame;
    this.size += 1;
    if (this.size === this.parent.length) this.room(2 * this.size);
    return node;
  }

  /** Count a node of the profile at a node of this tree. */
  add(at, node) {
    for (let c = 0; c < this.own.length; c++) this.own[c][at] += this.channels[c][node];
  }

  /** Return the tree in pre-order, siblings by a channel, the widest first. */
  tree(channel, top = -1) {
    const cut = (array) => array.subarray(0, this.size);
    const above = cut(this.parent);
    const totals = this.own.map((own) => totalsOf(above, cut(own)));
    const order = preorder(above, totals[channel]);
    const [parent, depth] = relinked(above, order);
    const frame = moved(this.frame, order);
    frame[0] = top;
    const [own, total] = [this.own, totals].map((rows) => rows.map((row) => moved(row, order)));
    return { size: this.size, parent, depth, end: ends(parent), frame, own, total };
  }
}

function moved(array, order) {
  const result = new array.constructor(order.length);
  for (let at = 0; at < order.length; at++) result[at] = array[order[at]];
  return result;
}

/** Return parents and depths of nodes that were put into another order. */
function relinked(above, order) {
  const [place, parent, depth] = [0, 1, 2].map(() => new Int32Array(order.length));
  parent[0] = -1;
  for (let at = 1; at < order.length; at++) {
    place[order[at]] = at;
    parent[at] = place[above[order[at]]];
    depth[at] = depth[parent[at]] + 1;
  }
  return [parent, depth];
}

/** Return nodes in pre-order, siblings by value, from parents that come before their children. */
function preorder(parent, value) {
  const size = parent.length;
  const first = new Int32Array(size + 1);
  for (let node = 1; node < size; node++) first[parent[node] + 1] += 1;
  for (let node = 0; node < size; node++) first[node + 1] += first[node];
  const next = first.slice();
  const children = new Int32Array(size);
  for (let node = 1; node < size; node++) children[next[parent[node]]++] = node;
  const order = new Int32Array(size);
  const open = [0];
  for (let at = 0; open.length; at++) {
    const node = open.pop();
    order[at] = node;
    const [start, stop] = [first[node], first[node + 1]];
    if (stop - start > 1) children.subarray(start, stop).sort((a, b) => value[a] - value[b]);
    for (let i = start; i < stop; i++) open.push(children[i]);
  }
  return order;
}

// ---- finding ------------------------------------------------------------------------------------

/** Which frames are not to be shown. */
export function hiddenFrames({ frames }, { libraries, importing }) {
  return frames.kind.map((kind, f) =>
    Number((libraries && kind === LIBRARY) || (importing && frames.importing[f] === 1)));
}

/** The nodes of frames that fit, without those below another such. */
export function outermost({ size, frame, end }, fits) {
  const found = [];
  for (let node = 1; node < size; node = fits(frame[node]) ? (found.push(node), end[node]) : node + 1);
  return found;
}

/**
 * Which frames a query finds: a part of a name or place, or a /regular expression/.
 * @returns {?Uint8Array} one number a frame; null for a query that is none
 */
export function matching(profile, query) {
  const fits = query && criterion(query);
  if (!fits) return null;
  const texts = profile.strings.map((text) => Number(fits(text)));
  const { name, file } = profile.frames;
  const found = name.map((n, f) =>
    texts[n] || texts[file[f]] || Number(fits(placeOf(profile, f))));
  return Uint8Array.from(found);
}

function criterion(query) {
  const pattern = query.match(/^\/(.*)\/(i?)$/s) ?? (query.startsWith("/") ? ["", query.slice(1)] : null);
  if (!pattern) {
    const wanted = query.toLowerCase();
    return (text) => text.toLowerCase().includes(wanted);
  }
  try {
    const regex = new RegExp(pattern[1], pattern[2]);
    return pattern[1] ? (text) => regex.test(text) : null;
  } catch {
    return null;
  }
}

/** What a channel has in stacks with a frame that is found; what lies below one counts once. */
export function sumOf(tree, found, channel) {
  let sum = 0;
  for (let node = 1; node < tree.size; ) {
    const hit = found[tree.frame[node]];
    if (hit) sum += tree.total[channel][node];
    node = hit ? tree.end[node] : node + 1;
  }
  return sum;
}

/** The frames from the top to a node; `nodeAt` finds it again in another tree. */
export function pathOf(tree, node) {
  const path = [];
  for (let at = node; at > 0; at = tree.parent[at]) path.unshift(tree.frame[at]);
  return path;
}

/** The node at a path, or the last on the way there. */
export function nodeAt(tree, path) {
  let at = 0;
  for (const frame of path) {
    const next = childrenOf(tree, at).find((child) => tree.frame[child] === frame);
    if (next === undefined) return at;
    at = next;
  }
  return at;
}

/** The nodes directly below a node, in their order. */
export function childrenOf(tree, node) {
  const found = [];
  for (let child = node + 1; child < tree.end[node]; child = tree.end[child]) found.push(child);
  return found;
}

/**
 * Where frames are drawn: what is below `top`, in pixels; narrow neighbours become one, node -1.
 * @returns columns of node, row, x and w, and how many rows there are
 */
export function layout(tree, top, width, channel) {
  const value = tree.total[channel];
  const scale = value[top] > 0 ? width / value[top] : 0;
  const at = [0];
  const dust = [];
  const out = { node: [], row: [], x: [], w: [], rows: 0 };
  for (let node = top; node < tree.end[top]; ) {
    const row = tree.depth[node] - tree.depth[top];
    const [x, w] = [at[row], value[node] * scale];
    at[row] += w;
    if (w >= NARROW) {
      at[row + 1] = x;
      place(out, node, row, x, w);
      node += 1;
    } else {
      if (w > 0) gather(out, dust, row, x, w);
      node = tree.end[node];
    }
  }
  return out;
}

function place(out, node, row, x, w) {
  out.node.push(node);
  out.row.push(row);
  out.x.push(x);
  out.w.push(w);
  out.rows = Math.max(out.rows, row + 1);
}

function gather(out, dust, row, x, w) {
  const last = dust[row];
  if (last !== undefined && Math.abs(out.x[last] + out.w[last] - x) < 1e-6) {
    out.w[last] += w;
  } else {
    dust[row] = out.node.length;
    place(out, -1, row, x, w);
  }
}

// ---- numbers as text ----------------------------------------------------------------------------

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Three significant digits, as `resleak.units.number` writes them. */
export function numberText(value) {
  if (Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size < 5e-4) return "0";
  const sign = value < 0 ? "−" : "";
  if (size < 999.5) return sign + String(Number(size.toPrecision(3)));
  return sign + String(Math.round(size)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A number with its unit; bytes are scaled. */
export function amountText(value, unit) {
  if (unit !== "B") return `${numberText(value)} ${unit}`;
  let [size, step] = [value, 0];
  for (; Math.abs(size) >= 1024 && step < BINARY.length - 1; step++) size /= 1024;
  return `${numberText(size)} ${BINARY[step]}`;
}

export const rateText = (value, unit, per) => `${amountText(value, unit)}/${per}`;
export const shareText = (value) => (Number.isFinite(value) ? `${Number((100 * value).toPrecision(3))} %` : "–");
