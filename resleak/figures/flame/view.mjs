/** The canvas of frames: what is drawn where, and what is at a point of it. */

import { NARROW, childrenOf, layout } from "./trees.mjs";
import { PALETTE } from "./look.mjs";

/** Height of a row of frames, in pixels. */
export const ROW = 20;
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
const PAD = 4;

/** Make an element; strings among the children become text, never markup. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Paints the frames of a scene: panels of a tree each, one of which may grow upwards. */
export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.widths = new Map();
    this.hatch = this.pen.createPattern(hatching(), "repeat");
  }

  /** Place the frames; to be called when what is shown, or the width, has changed. */
  arrange(scene, width) {
    this.width = width;
    for (const panel of scene.panels) panel.rects = layout(panel.tree, panel.top, width, scene.channel);
    const rows = (up) => Math.max(0, ...scene.panels.filter((p) => p.up === up).map((p) => p.rects.rows));
    scene.base = Math.max(rows(true) - 1, 0);
    scene.height = (scene.base + rows(false)) * ROW;
    this.scene = scene;
  }

  /** Paint what is visible of the box that starts at a scroll position. */
  paint(scroll, height, ink) {
    const { canvas, pen, width } = this;
    const ratio = window.devicePixelRatio || 1;
    const [w, t] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== t) [canvas.width, canvas.height] = [w, t];
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.translate(0, -scroll);
    pen.textBaseline = "middle";
    for (const panel of this.scene.panels) this.paintPanel(panel, scroll, height, ink);
    if (this.scene.isMarked()) this.outline(this.scene.selected, ink);
  }

  paintPanel(panel, scroll, height, ink) {
    const { node, row, x, w } = panel.rects;
    for (let i = 0; i < node.length; i++) {
      const y = this.top(panel, row[i]);
      if (y + ROW < scroll || y > scroll + height || (panel.up && !row[i])) continue;
      if (node[i] < 0) this.crowd(x[i], y, w[i], ink);
      else this.frame(panel, node[i], x[i], y, w[i], ink);
    }
  }

  frame(panel, node, x, y, w, ink) {
    const { pen, scene } = this;
    const frame = panel.tree.frame[node];
    const faint = scene.found && !(scene.found[frame] === 1);
    const sign = scene.signOf(panel, node);
    this.fill(scene.colourOf(panel, node), faint ? 0.22 : 1, x, y, w);
    if (sign === "new") this.fill(this.hatch, 1, x, y, w);
    if (sign === "gone" && w > 4) this.dashed(x, y, w);
    if (w < 24) return;
    const font = scene.isBold(frame) ? `600 ${FONT}` : FONT;
    this.letter(scene.labelOf(panel, node), x, y, w, font, faint ? ink : PALETTE.letters);
  }

  /** Frames that are too narrow to be drawn each. */
  crowd(x, y, w, ink) {
    this.fill(PALETTE.library, 0.45, x, y, Math.max(w, NARROW));
    if (w > 24) this.letter("many small frames", x, y, w, FONT, ink);
  }

  letter(text, x, y, w, font, colour) {
    this.pen.font = font;
    this.pen.fillStyle = colour;
    this.pen.fillText(this.fitted(text, w - 2 * PAD), x + PAD, y + ROW / 2);
  }

  fill(style, alpha, x, y, w) {
    this.pen.globalAlpha = alpha;
    this.pen.fillStyle = style;
    this.pen.fillRect(x, y, w > 3 ? w - 1 : w, ROW - 1);
    this.pen.globalAlpha = 1;
  }

  dashed(x, y, w) {
    this.pen.setLineDash([4, 3]);
    this.pen.lineWidth = 1.5;
    this.pen.strokeStyle = PALETTE.letters;
    this.pen.strokeRect(x + 1, y + 1, w - 3, ROW - 3);
    this.pen.setLineDash([]);
  }

  outline({ panel, node }, ink) {
    const i = panel.rects.node.indexOf(node);
    if (i < 0) return;
    this.pen.lineWidth = 2;
    this.pen.strokeStyle = ink;
    const { x, w, row } = panel.rects;
    this.pen.strokeRect(x[i] + 1, this.top(panel, row[i]) + 1, Math.max(w[i] - 3, 2), ROW - 3);
  }

  /** Cut a label so that it fits. */
  fitted(text, room) {
    let [shown, width] = [text, this.widthOf(text)];
    for (let kept = text.length; width > room && kept > 1; width = this.widthOf(shown)) {
      kept = Math.min(Math.floor((kept * room) / width), kept - 1);
      shown = `${text.slice(0, kept)}…`;
    }
    return shown.length > 2 || shown === text ? shown : "";
  }

  widthOf(text) {
    const key = this.pen.font + text;
    if (!this.widths.has(key)) this.widths.set(key, this.pen.measureText(text).width);
    return this.widths.get(key);
  }

  top(panel, row) {
    return (this.scene.base + (panel.up ? -row : row)) * ROW;
  }

  /** Return what is at a point of the whole height: panel and node, -1 for what is too narrow. */
  at(px, py) {
    for (const panel of this.scene.panels) {
      const { node, row, x, w } = panel.rects;
      for (let i = node.length - 1; i >= 0; i--) {
        const y = this.top(panel, row[i]);
        const inside = px >= x[i] && px < x[i] + w[i] && py >= y && py < y + ROW;
        if (inside && !(panel.up && !row[i])) return { panel, node: node[i] };
      }
    }
    return null;
  }

  /** Return the vertical place of a node, or null if it is too narrow to be drawn. */
  placeOf({ panel, node }) {
    const i = panel.rects.node.indexOf(node);
    return i < 0 ? null : this.top(panel, panel.rects.row[i]);
  }
}

function hatching() {
  const tile = h("canvas", { width: 8, height: 8 });
  const pen = tile.getContext("2d");
  pen.strokeStyle = "rgba(17, 17, 17, 0.28)";
  pen.lineWidth = 1.5;
  for (const shift of [-8, 0, 8]) {
    pen.moveTo(shift - 1, 9);
    pen.lineTo(shift + 9, -1);
  }
  pen.stroke();
  return tile;
}

/** A colour between two others. */
export function mixed(from, to, part) {
  const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * part)).join(" ")})`;
}

/** Where an arrow key leads: up and down as it is drawn, left and right among siblings. */
export function neighbour({ panel, node }, key) {
  const { tree, up, top } = panel;
  if (key === (up ? "ArrowDown" : "ArrowUp")) return node === top ? node : tree.parent[node];
  if (key === (up ? "ArrowUp" : "ArrowDown")) return childrenOf(tree, node)[0] ?? node;
  if (node === top) return node;
  const family = childrenOf(tree, tree.parent[node]);
  return family[family.indexOf(node) + (key === "ArrowLeft" ? -1 : 1)] ?? node;
}
