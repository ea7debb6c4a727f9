/**
 * What Python wrote, read into arrays; and numbers written as Python writes them.
 *
 * A tree is kept as columns in pre-order. Node 0 is everything; the subtree of a node is what lies
 * between it and `end`. Nothing here, in model.mjs and in trees.mjs knows of a page.
 */

export const [OTHER, STUDIED, LIBRARY, NEITHER] = [0, 1, 2, 3];
const IMPORTING = 4;

/**
 * Read a payload.
 * @param {object} payload as `payload.py` writes it
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

/** For each node, the first that lies no more below it. */
export function ends(parent) {
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

/** For each node, the frame that answers for it: innermost of the user's code, else of no library. */
function sitesOf({ size, parent, frame, frames }) {
  const site = Int32Array.from(frame);
  const rank = new Uint8Array(size);
  for (let node = 1; node < size; node++) {
    const kind = frames.kind[frame[node]];
    rank[node] = kind === LIBRARY ? 0 : kind === NEITHER ? 1 : 2;
    const above = parent[node];
    if (rank[above] > rank[node]) [rank[node], site[node]] = [rank[above], site[above]];
  }
  return site;
}

// ---- numbers as text ------------------------------------------------------------------------------

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Three significant digits, as `resleak.formatting.number` writes them. */
export function numberText(value) {
  if (Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size < 5e-7) return "0";
  const sign = value < 0 ? "−" : "";
  if (size < 5e-4) return sign + size.toFixed(6).replace(/0+$/, "");
  if (size < 999.5) return sign + String(Number(size.toPrecision(3)));
  return sign + String(Math.round(size)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A number with its unit, in the singular after one; bytes are scaled. */
export function amountText(value, unit) {
  if (unit !== "B") {
    const text = numberText(value);
    const one = unit.replace(/ies$|(?<=ss|ch)es$|s$/, (end) => (end === "ies" ? "y" : ""));
    return `${text} ${text === "1" && unit.length > 2 ? one : unit}`;
  }
  let [size, step] = [value, 0];
  for (; Math.abs(size) >= 1024 && step < BINARY.length - 1; step++) size /= 1024;
  return `${numberText(size)} ${BINARY[step]}`;
}

export const rateText = (value, unit, per) => `${amountText(value, unit)}/${per}`;
export const shareText = (value) => (Number.isFinite(value) ? `${Number((100 * value).toPrecision(3))} %` : "–");
