/** What grew in a window, and which frames are looked for. */

import { LIBRARY, placeOf } from "./data.mjs";

/** Channels of own and total values, each of which adds up; the last three are of a difference. */
export const [BYTES, COUNT, BEFORE, COUNT_BEFORE, CHANGE] = [0, 1, 2, 3, 4];

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

// ---- finding --------------------------------------------------------------------------------------

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
