/** What stands around the frames: the chart of windows above, the table of sites below. */

import { amountText, shareText } from "./data.mjs";
import { cumulated, windowsIn } from "./model.mjs";
import { h } from "./view.mjs";

const [CHART_HEIGHT, CHART_EDGE] = [80, 4];
const SVG = "http://www.w3.org/2000/svg";

// ---- the chart of windows -----------------------------------------------------------------------

/** Growth over the windows; a part of it can be chosen with pointer or keyboard. */
export class Brush {
  constructor({ sides, unit }, onchange) {
    Object.assign(this, { sides, unit, onchange, span: null });
    this.edges = sides[0].edges;
    this.lines = sides.map(cumulated);
    this.svg = document.createElementNS(SVG, "svg");
    const last = this.edges.length - 1;
    [this.from, this.to] = ["from", "to"].map((name) => this.slider(name, last));
    this.told = h("span", { class: "told" });
    this.clear = h("button", { type: "button", onclick: () => this.choose(null) }, "Whole period");
    this.element = h("div", { class: "brush", hidden: last < 2 },
      h("div", { class: "caption" }, `${unit === "B" ? "Live bytes" : unit} gained since the first mark`, ...this.key()),
      this.svg,
      h("div", { class: "sliders" }, ...[this.from, this.to].map((input) =>
        h("label", {}, `${input.name} `, input)), this.told, this.clear));
    this.listen();
  }

  key() {
    if (this.sides.length < 2) return [];
    return ["after", "before"].map((side) => h("span", { class: `key ${side}` }, side));
  }

  slider(name, last) {
    const input = h("input", { type: "range", name, min: 0, max: Math.max(last, 0), step: 1,
      "aria-label": `${name} ${this.sides[0].per === "s" ? "second" : "step"}` });
    input.addEventListener("input", () => this.slide(name));
    return input;
  }

  slide(moved) {
    let [from, to] = [Number(this.from.value), Number(this.to.value)];
    if (from >= to && moved === "from") from = Math.max(to - 1, 0);
    if (from >= to) to = Math.min(from + 1, this.edges.length - 1);
    this.choose([from, to]);
  }

  listen() {
    const at = (event) => {
      const box = this.svg.getBoundingClientRect();
      const part = (event.clientX - box.left - CHART_EDGE) / (box.width - 2 * CHART_EDGE);
      return this.edges[0] + part * (this.edges.at(-1) - this.edges[0]);
    };
    let start = null;
    this.svg.addEventListener("pointerdown", (event) => {
      start = at(event);
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => start !== null && this.drag(start, at(event)));
    this.svg.addEventListener("pointerup", () => { start = null; });
    this.svg.addEventListener("pointercancel", () => { start = null; });
    this.svg.addEventListener("dblclick", () => this.choose(null));
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.span) return;
      event.stopPropagation();
      this.choose(null);
    });
  }

  drag(start, end) {
    let [from, to] = windowsIn(this.edges, [Math.min(start, end), Math.max(start, end)]);
    if (from === to && from === 0) to = 1;
    if (from === to) from = to - 1;
    this.choose([from, to]);
  }

  /** Choose windows by their edges, or all of them with null. */
  choose(edges) {
    const last = this.edges.length - 1;
    const whole = !edges || (edges[0] === 0 && edges[1] === last);
    const span = whole ? null : edges.map((edge) => this.edges[edge]);
    if (String(span) === String(this.span)) return;
    this.span = span;
    this.draw();
    this.onchange(span);
  }

  draw(width = this.width) {
    this.width = width;
    const last = this.edges.length - 1;
    const [from, to] = this.span ? windowsIn(this.edges, this.span) : [0, last];
    this.svg.setAttribute("viewBox", `0 0 ${width} ${CHART_HEIGHT}`);
    this.svg.setAttribute("aria-hidden", "true");
    const across = (value) => {
      const whole = this.edges[last] - this.edges[0];
      return CHART_EDGE + ((value - this.edges[0]) / whole) * (width - 2 * CHART_EDGE);
    };
    this.svg.replaceChildren(...this.shapes(across, this.edges[from], this.edges[to]));
    [this.from.value, this.to.value] = [from, to];
    this.from.setAttribute("aria-valuetext", this.moment(this.edges[from]));
    this.to.setAttribute("aria-valuetext", this.moment(this.edges[to]));
    this.told.textContent = `${this.moment(this.edges[from])} to ${this.moment(this.edges[to])}`;
    this.clear.hidden = !this.span;
  }

  moment(x) {
    const { per } = this.sides[0];
    return per === "s" ? amountText(x, "s") : `${per} ${x}`;
  }

  shapes(across, from, to) {
    const all = this.lines.flat();
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const down = (value) => 6 + ((high - value) / (high - low || 1)) * (CHART_HEIGHT - 26);
    const line = (s) => this.sides[s].edges.map((x, i) => `${across(x)},${down(this.lines[s][i])}`);
    const window = shape("rect", { class: "window", x: across(from), y: 0, height: CHART_HEIGHT,
      width: Math.max(across(to) - across(from), 1) });
    const zero = shape("line", { class: "zero", x1: 0, x2: this.width, y1: down(0), y2: down(0) });
    const curves = this.sides.map((_, s) =>
      shape("polyline", { class: s ? "curve before" : "curve after", points: line(s).join(" ") }));
    const texts = [
      label(`${high > 0 ? "+" : ""}${amountText(high, this.unit)}`, { x: CHART_EDGE + 2, y: 14 }),
      label(this.moment(this.edges[0]), { x: CHART_EDGE + 2, y: CHART_HEIGHT - 5 }),
      label(this.moment(this.edges.at(-1)), { x: this.width - CHART_EDGE - 2, y: CHART_HEIGHT - 5, "text-anchor": "end" }),
    ];
    return [...(this.span ? [window] : []), zero, ...curves.reverse(), ...texts];
  }
}

function label(text, attributes) {
  const element = shape("text", attributes);
  element.textContent = text;
  return element;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// ---- the table of sites -------------------------------------------------------------------------

const FEW = 10;

/** The text of a line, marked, between its neighbours; nothing for an empty one. */
export function sourceBlock(source) {
  if (!source.trim()) return [];
  const lines = source.split("\n");
  const middle = (line, i) => (lines.length === 3 && i === 1 ? h("b", {}, line) : line);
  return [h("pre", {}, ...lines.flatMap((line, i) => (i ? ["\n", middle(line, i)] : [middle(line, i)])))];
}

/** Which lines grew, as rows that can be sorted; a click on one shows it in the flame. */
export class Sites {
  constructor({ unit, per, isDifference, nameOf, placeOf, sourceOf }, onpick) {
    Object.assign(this, { unit, per, nameOf, placeOf, sourceOf, onpick, limit: FEW });
    const number = (head, key, text) => ({ head, key, text, number: true });
    const rate = (value) => amountText(value, unit);
    const rates = isDifference
      ? [number(`before, per ${per}`, (row) => row.before, rate),
        number(`after, per ${per}`, (row) => row.bytes, rate),
        number("change", (row) => row.bytes - row.before, (value) => (value > 0 ? "+" : "") + rate(value))]
      : [number(`per ${per}`, (row) => row.bytes, rate),
        { ...number("share of the growth", (row) => row.share, shareText), bar: true }];
    this.columns = [{ head: "function", key: (row) => nameOf(row.frame) },
      { head: "file and line", key: (row) => placeOf(row.frame) }, ...rates];
    this.rank = isDifference ? (row) => Math.abs(row.bytes - row.before) : (row) => row.bytes;
    this.sorted = null;
    this.element = h("div", { class: "sites" });
  }

  /** Show these rows. */
  show(rows) {
    const sum = rows.reduce((total, row) => total + Math.max(row.bytes, 0), 0);
    this.rows = rows.map((row) => ({ ...row, share: row.bytes / sum, rank: this.rank(row) }))
      .filter((row) => row.rank > 0).sort((a, b) => b.rank - a.rank);
    this.render();
  }

  render() {
    const shown = this.inOrder().slice(0, this.limit);
    const rest = this.rows.length - shown.length;
    const table = h("table", {},
      h("caption", {}, "Lines by retained memory"),
      h("thead", {}, h("tr", {}, ...this.columns.map((column) => this.header(column)))),
      h("tbody", {}, ...shown.map((row) => h("tr", {}, ...this.columns.map((c) => this.cell(c, row))))));
    const more = h("button", { type: "button", onclick: () => { this.limit += 40; this.render(); } },
      `Show ${Math.min(rest, 40)} more of ${rest}`);
    this.element.replaceChildren(this.rows.length ? table : "", rest > 0 ? more : "");
  }

  inOrder() {
    if (!this.sorted) return this.rows;
    const { column, descending } = this.sorted;
    const compare = column.number
      ? (a, b) => column.key(a) - column.key(b)
      : (a, b) => column.key(a).localeCompare(column.key(b));
    return [...this.rows].sort((a, b) => (descending ? compare(b, a) : compare(a, b)));
  }

  header(column) {
    const mine = this.sorted?.column === column;
    const sort = mine ? (this.sorted.descending ? "descending" : "ascending") : "none";
    const turn = () => {
      this.sorted = { column, descending: mine ? !this.sorted.descending : Boolean(column.number) };
      this.render();
      this.element.querySelectorAll("th button")[this.columns.indexOf(column)].focus();
    };
    const arrow = { none: "", ascending: " ▲", descending: " ▼" }[sort];
    return h("th", { scope: "col", "aria-sort": sort, class: column.number ? "number" : "" },
      h("button", { type: "button", onclick: turn }, column.head + arrow));
  }

  cell(column, row) {
    const value = column.key(row);
    if (column.bar) {
      const width = `${(100 * Math.min(Math.max(value, 0), 1)).toFixed(1)}%`;
      const cell = h("td", { class: "number bar" }, column.text(value));
      cell.style.setProperty("--part", width);
      return cell;
    }
    if (column.number) return h("td", { class: "number" }, column.text(value));
    if (column !== this.columns[0]) return h("td", { class: "code" }, value, ...sourceBlock(this.sourceOf(row.frame)));
    const pick = h("button", { type: "button", title: "Show who calls it and what it calls",
      onclick: () => this.onpick(row.frame) }, value);
    return h("td", { class: "code name" }, pick);
  }
}
