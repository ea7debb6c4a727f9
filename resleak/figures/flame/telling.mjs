/** What a frame says: its label, its colour, all that is known of it; and what colours mean. */

import {
  LIBRARY, NEITHER, STUDIED, amountText, fileOf, functionOf, placeOf, rateText, shareText,
} from "./data.mjs";
import { BEFORE, BYTES, CHANGE, COUNT, COUNT_BEFORE, byFrame } from "./model.mjs";
import { h, mixed } from "./view.mjs";
import { PALETTE } from "./look.mjs";

const SIGNS = { new: "+ ", gone: "× ", grew: "▲ ", shrank: "▼ ", same: "" };
/** Sums of the same numbers in another order differ by less than this part. */
const ROUNDING = 1e-9;

/** What became of a node between before and after. */
export function changeOf({ total }, node) {
  const [after, before] = [total[BYTES][node], total[BEFORE][node]];
  if (Math.abs(after - before) <= ROUNDING * Math.max(after, before)) return "same";
  if (!before) return "new";
  if (!after) return "gone";
  return after > before ? "grew" : "shrank";
}

/** What the whole width stands for. */
export const everything = ({ options }) => (options.channel === CHANGE ? "all change" : "all growth");

/** What is written on a frame. */
export function labelOf(figure, tree, node) {
  const { profile, unit, per, options, isDifference } = figure;
  const frame = tree.frame[node];
  const rate = rateText(tree.total[options.channel][node], unit, per);
  if (frame < 0) return `${everything(figure)}  ${rate}`;
  const sign = isDifference ? SIGNS[changeOf(tree, node)] : "";
  const place = placeOf(profile, frame).replace(/^<(site-packages|stdlib)>\//, "");
  return `${sign}${functionOf(profile, frame)}  ${place}`;
}

/** Lines that tell all about a node: its function first. */
export function describe(figure, { panel: { tree, up }, node }) {
  if (node < 0) return ["many small frames", "too narrow to be drawn: zoom in"];
  const { profile, options: { channel }, sums, state } = figure;
  const frame = tree.frame[node];
  const name = frame < 0 ? [everything(figure)] : [functionOf(profile, frame), placeOf(profile, frame)];
  const share = `${shareText(tree.total[channel][node] / sums[channel])} of ${everything(figure)}`;
  const isTurned = up || state.way === "up"; // a stack ends above then, not here
  const numbers = figure.isDifference ? bothSides : oneSide;
  return [...name.filter(Boolean), ...numbers(figure, tree, node, share, isTurned)];
}

function oneSide({ unit, per, grown }, { total, own }, node, share, isTurned) {
  const bytes = total[BYTES][node];
  return [
    rateText(bytes, unit, per), share,
    ...(isTurned ? [] : [`self ${rateText(own[BYTES][node], unit, per)}`]),
    ...blocks({ unit, per }, total[COUNT][node]),
    `${amountText(bytes * grown.steps[0], unit)} in all`,
  ];
}

function bothSides({ unit, per }, tree, node, share, isTurned) {
  const { total, own } = tree;
  const pair = (rows, now, then, text) => `after ${text(rows[now][node])}, before ${text(rows[then][node])}`;
  const rate = (value) => rateText(value, unit, per);
  const count = (value) => rateText(value, "blocks", per);
  const change = changeOf(tree, node);
  return [
    change === "same" ? "the same" : change, pair(total, BYTES, BEFORE, rate), share,
    ...(isTurned ? [] : [`self: ${pair(own, BYTES, BEFORE, rate)}`]),
    ...(unit === "B" ? [pair(total, COUNT, COUNT_BEFORE, count)] : []),
  ];
}

/** How many blocks; of other things than bytes there are none. */
export const blocks = ({ unit, per }, count) => (unit === "B" ? [rateText(count, "blocks", per)] : []);

// ---- colours ------------------------------------------------------------------------------------

/** Return the function that colours a node as was chosen. */
export function colouring({ profile, options, modules, grown }) {
  const { kind } = profile.frames;
  const ownOf = options.colour === "growth" ? byFrame(profile, grown.own[BYTES]) : [];
  const most = ownOf.reduce((a, b) => Math.max(a, b), 0) || 1;
  const ofKind = { [STUDIED]: PALETTE.studied, [LIBRARY]: PALETTE.library, [NEITHER]: PALETTE.library };
  const of = {
    kind: (tree, node, frame) => ofKind[kind[frame]] ?? PALETTE.other,
    module: (tree, node, frame) => modules.get(moduleOf(fileOf(profile, frame))) ?? PALETTE.same,
    growth: (tree, node, frame) => mixed(PALETTE.least, PALETTE.studied, Math.sqrt(ownOf[frame] / most)),
    change: changeColour,
  }[options.colour];
  return ({ tree }, node) => (tree.frame[node] < 0 ? PALETTE.whole : of(tree, node, tree.frame[node]));
}

function changeColour({ total }, node) {
  const [after, before] = [total[BYTES][node], total[BEFORE][node]];
  const part = (after - before) / (Math.max(after, before) || 1);
  return mixed(PALETTE.same, part > 0 ? PALETTE.grew : PALETTE.shrank, Math.sqrt(Math.abs(part)));
}

/** Colours of the modules whose frames allocated most themselves. */
export function largestModules(profile, own) {
  const sums = new Map();
  byFrame(profile, own).forEach((bytes, frame) => {
    const module = moduleOf(fileOf(profile, frame));
    if (module) sums.set(module, (sums.get(module) ?? 0) + bytes);
  });
  const largest = [...sums].sort((a, b) => b[1] - a[1]).slice(0, PALETTE.modules.length);
  return new Map(largest.map(([module], i) => [module, PALETTE.modules[i]]));
}

/** The package or, of own code, the file and its folder. */
function moduleOf(file) {
  const parts = file.split("/");
  const isLibrary = /^<(stdlib|site-packages)>$/.test(parts[0]);
  return isLibrary ? (parts[1] ?? "").replace(/\.py$/, "") : parts.slice(-2).join("/");
}

/** What the colours mean, as elements. */
export function legendOf({ modules, options }) {
  const entries = {
    kind: [[PALETTE.studied, "studied code (bold)"], [PALETTE.other, "other code"],
      [PALETTE.library, "libraries"]],
    module: [...[...modules].map(([module, colour]) => [colour, module]), [PALETTE.same, "others"]],
    growth: [[PALETTE.least, "allocates nothing itself"], [PALETTE.studied, "allocates most itself"]],
    change: [[PALETTE.grew, "▲ grew"], [PALETTE.grew, "+ new", "new"], [PALETTE.shrank, "▼ shrank"],
      [PALETTE.shrank, "× gone", "gone"], [PALETTE.same, "the same"]],
  }[options.colour];
  return entries.map(([colour, text, kind = ""]) => {
    const swatch = h("i", { class: `swatch ${kind}` });
    swatch.style.setProperty("--swatch", colour);
    return h("span", {}, swatch, text);
  });
}
