/** The same stacks as trees: callers first, leaf first, around one frame; and where they are drawn. */

import { ends } from "./data.mjs";
import { BEFORE, BYTES, outermost, totalsOf } from "./model.mjs";

/** Narrower frames, in pixels, are drawn as one with their neighbours. */
export const NARROW = 0.5;

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
