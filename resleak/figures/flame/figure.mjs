/** The figure: what was chosen, and how that becomes what is seen. */

import { STUDIED, decode, fileOf, functionOf, placeOf, rateText, shareText } from "./data.mjs";
import {
  BEFORE, BYTES, CHANGE, COUNT, grownIn, hiddenFrames, matching, outermost, sitesIn, sumOf,
} from "./model.mjs";
import { Brush, Sites, sourceBlock } from "./panels.mjs";
import {
  blocks, changeOf, colouring, describe, everything, labelOf, largestModules, legendOf,
} from "./telling.mjs";
import { inverted, nodeAt, pathOf, sandwich, wholeTree, withoutHidden } from "./trees.mjs";
import { Painter, ROW, h, neighbour } from "./view.mjs";
import { CSS } from "./look.mjs";

// Half a row more than whole ones: what is cut off can be seen to go on.
const [TALLEST, TALLEST_ON_PAPER] = [470, 1200];
const WAYS = [["down", "callers first"], ["up", "leaf first"], ["sandwich", "selected frame"]];
const COLOURS = [["kind", "kind of code"], ["module", "module"], ["growth", "own growth"]];
const WIDTHS = [[CHANGE, "increase + decrease"], [BYTES, "after"], [BEFORE, "before"]];
const KEYS = "Click or Enter zooms · Esc goes back · arrow keys walk · / searches · c copies the stack";

class Figure {
  constructor(host, payload, profile, onselect) {
    Object.assign(this, { host, payload, profile, onselect });
    this.unit = payload.unit;
    this.per = profile.sides[0].per;
    this.isDifference = profile.sides.length > 1;
    this.state = { way: "down", focus: null, path: [] };
    this.past = [];
    this.options = { colour: this.isDifference ? "change" : "kind", channel: this.isDifference ? CHANGE : BYTES,
      libraries: false, importing: false };
    this.build();
    this.begin(payload.selection ?? {});
  }

  // ---- elements ---------------------------------------------------------------------------------

  build() {
    const { payload, profile } = this;
    this.sourceOf = (f) => (f < 0 ? "" : payload.sources?.[placeOf(profile, f)] ?? "");
    const named = { nameOf: (f) => functionOf(profile, f), placeOf: (f) => placeOf(profile, f), sourceOf: this.sourceOf };
    this.canvas = h("canvas", { tabindex: 0, role: "application", "aria-roledescription": "flame graph",
      "aria-label": payload.title ?? "flame graph", "aria-describedby": "keys" });
    this.painter = new Painter(this.canvas);
    this.spacer = h("div", { class: "spacer" }, this.canvas);
    this.box = h("div", { class: "box" }, this.spacer);
    this.crumbs = h("nav", { class: "crumbs", "aria-label": "callers of what is shown" });
    this.details = h("div", { class: "details", role: "status" });
    this.tip = h("div", { class: "tip", role: "tooltip", hidden: true });
    this.legend = h("div", { class: "legend" });
    this.brush = new Brush({ sides: profile.sides, unit: this.unit }, (span) => this.look(span));
    this.sites = new Sites({ unit: this.unit, per: this.per, isDifference: this.isDifference, ...named },
      (frame) => this.go({ way: "sandwich", focus: frame, path: [] }));
    this.whole = h("div", { class: "whole" });
    this.root = h("section", { class: "flame" },
      payload.title ? h("h3", {}, payload.title) : "", this.whole, this.brush.element, this.controls(),
      this.row, this.box, this.details, this.legend,
      h("p", { id: "keys", class: "keys" }, KEYS), this.sites.element, this.tip);
    const shadow = this.host.shadowRoot ?? this.host.attachShadow({ mode: "open" });
    shadow.replaceChildren(h("style", {}, CSS), this.root);
    this.listen();
  }

  controls() {
    this.search = h("input", { type: "search", placeholder: "Search: text or /regex/", "aria-label": "search frames" });
    this.share = h("span", { class: "share", role: "status" });
    this.ways = this.select("show", WAYS, (way) => this.turn(way));
    const colours = this.isDifference ? [["change", "change"], ...COLOURS] : COLOURS;
    const set = (name) => (value) => { this.options[name] = value; this.project(); };
    const button = (text, onclick) => h("button", { type: "button", onclick }, text);
    this.copier = button("Copy stack", () => this.copy());
    this.backward = button("Back", () => this.back());
    const choices = [this.ways, this.select("colour", colours, set("colour"))];
    if (this.isDifference) choices.push(this.select("width", WIDTHS, (value) => set("channel")(Number(value))));
    this.row = h("div", { class: "row" }, this.backward, this.crumbs, this.copier, button("Reset", () => this.reset()));
    return h("div", { class: "controls" }, h("span", { class: "find" }, this.search, this.share), ...choices.map((c) => c.label),
      this.check("hide libraries", set("libraries")), this.check("hide import system", set("importing")));
  }

  select(name, choices, onchange) {
    const options = choices.map(([value, text]) => h("option", { value }, text));
    const select = h("select", { onchange: () => onchange(select.value) }, ...options);
    return { select, label: h("label", {}, `${name} `, select) };
  }

  check(text, onchange) {
    const box = h("input", { type: "checkbox", onchange: () => onchange(box.checked) });
    return h("label", { class: "check" }, box, ` ${text}`);
  }

  // ---- what was chosen --------------------------------------------------------------------------

  begin({ window: span, function: name, file, line }) {
    this.measure(null);
    this.modules = largestModules(this.profile, this.grown.own[BYTES]);
    const { profile } = this;
    const fits = (f) => functionOf(profile, f) === name && fileOf(profile, f) === file
      && profile.frames.line[f] === line;
    const [node] = name === undefined ? [] : outermost(profile, fits);
    if (node) this.state.path = pathOf(profile, node);
    if (Array.isArray(span)) this.brush.span = span.map(Number);
    if (this.brush.span) this.measure(this.brush.span);
    this.project();
    this.measureWidth();
  }

  /** Look at a part of the windows. */
  look(span) {
    this.measure(span);
    this.project();
  }

  measure(span) {
    this.span = span;
    this.grown = grownIn(this.profile, span, this.grown);
    this.all = wholeTree(this.profile, this.grown.own, this.all);
    this.sums = this.all.total.map((total) => total[0]);
    this.sites.show(sitesIn(this.profile, this.grown.net));
  }

  /** Go somewhere, and remember where this was. */
  go(state) {
    this.past.push(this.state);
    this.state = { ...this.state, ...state };
    this.project();
    this.scrollHome();
  }

  back() {
    if (!this.past.length) return;
    this.state = this.past.pop();
    this.project();
    this.scrollHome();
  }

  turn(way) {
    const focus = way === "sandwich" ? this.chosenFrame() : null;
    this.go({ way: focus === -1 ? "down" : way, focus, path: [] });
  }

  chosenFrame() {
    const { panel, node } = this.scene.selected;
    return panel.tree.frame[node];
  }

  reset() {
    this.past = [];
    this.state = { way: "down", focus: null, path: [] };
    this.search.value = "";
    this.brush.choose(null);
    this.find();
    this.project();
  }

  find() {
    this.found = matching(this.profile, this.search.value);
    this.tellShare();
    this.scene.found = this.found;
    this.paint();
  }

  tellShare() {
    const hidden = this.hidden();
    const seen = this.found?.map((hit, frame) => hit && !hidden[frame]);
    const { channel } = this.options;
    const share = seen ? sumOf(this.all, seen, channel) / this.sums[channel] : NaN;
    const isWrong = this.search.value && !seen;
    this.share.textContent = seen ? `${shareText(share || 0)} of ${everything(this)}` : isWrong ? "not a pattern" : "";
  }

  hidden() {
    return hiddenFrames(this.profile, this.options);
  }

  // ---- from choice to scene ---------------------------------------------------------------------

  /** Make the trees of the view that was chosen, and show them. */
  project() {
    const { state, options } = this;
    this.scene = {
      panels: this.panels(),
      channel: options.channel,
      found: this.found,
      colourOf: colouring(this),
      signOf: (panel, node) => (this.isDifference ? changeOf(panel.tree, node) : ""),
      labelOf: (panel, node) => labelOf(this, panel.tree, node),
      isMarked: () => this.scene.selected.node !== this.scene.selected.panel.top || this.canvas.matches(":focus-visible"),
      isBold: (frame) => this.profile.frames.kind[frame] === STUDIED };
    const panel = this.scene.panels.at(-1);
    this.scene.selected = { panel, node: panel.top };
    this.ways.select.value = state.way;
    this.backward.disabled = !this.past.length;
    this.arrange();
    this.tell();
  }

  panels() {
    const { profile, grown: { own }, state: { way, focus, path }, options: { channel } } = this;
    const hidden = this.hidden();
    if (way === "sandwich") {
      const both = sandwich(profile, this.all, hidden, channel, focus);
      return ["up", "down"].map((key) => ({ tree: both[key], up: key === "up", top: 0 }));
    }
    const tree = way === "up" ? inverted(profile, own, hidden, channel)
      : hidden.includes(1) ? withoutHidden(profile, own, hidden, channel) : this.all;
    return [{ tree, up: false, top: nodeAt(tree, path) }];
  }

  arrange() {
    if (!this.width) return;
    this.painter.arrange(this.scene, this.width);
    const most = matchMedia("print").matches ? TALLEST_ON_PAPER : TALLEST;
    this.height = Math.max(Math.min(this.scene.height, most), ROW);
    this.box.style.height = `${this.height}px`;
    this.spacer.style.height = `${this.scene.height}px`;
    this.paint();
  }

  scrollHome() {
    this.box.scrollTop = this.state.way === "sandwich" ? (this.scene.base + 0.5) * ROW - this.height / 2 : 0;
    this.paint();
  }

  paint() {
    if (!this.width) return;
    this.ink ??= getComputedStyle(this.root).color;
    this.painter.paint(this.box.scrollTop, this.height, this.ink);
  }

  measureWidth() {
    if (this.box.clientWidth && this.box.clientWidth !== this.width) this.refit();
  }

  refit() {
    this.ink = null;
    this.width = this.box.clientWidth || this.width;
    this.brush.draw(this.width);
    this.arrange();
  }

  /** Say in words what is shown: all of it, its callers, the chosen frame. */
  tell() {
    const { scene, span, unit, per } = this;
    const { panel } = scene.selected;
    const [from, to] = span ?? [this.brush.edges[0], this.brush.edges.at(-1)];
    const { sums } = this;
    const rate = (value) => rateText(value, unit, per);
    const parts = this.isDifference
      ? [`after ${rate(sums[BYTES])}, before ${rate(sums[BEFORE])}`]
      : [`all growth ${rate(sums[BYTES])}`, ...blocks(this, sums[COUNT])];
    const moments = `${this.brush.moment(from)} to ${this.brush.moment(to)}`;
    this.whole.textContent = sums[this.options.channel] > 0
      ? `${parts.join(", ")} · ${moments}`
      : `Nothing grew from ${moments}.`;
    this.box.hidden = !(sums[this.options.channel] > 0);
    this.showCrumbs(panel);
    this.tellShare();
    this.legend.replaceChildren(...legendOf(this));
    this.tellDetails();
  }

  showCrumbs({ tree, top, up }) {
    const chain = [];
    for (let at = up ? 0 : top; at > 0; at = tree.parent[at]) chain.unshift(at);
    const { way } = this.state;
    const crumb = (text, state, isHere) => h("button", { type: "button", disabled: isHere, onclick: () => this.go(state) }, text);
    const first = crumb(everything(this), { way: way === "sandwich" ? "down" : way, path: [] }, way !== "sandwich" && !chain.length);
    const name = (frame) => functionOf(this.profile, frame);
    const others = way === "sandwich"
      ? [crumb(name(this.state.focus), {}, true)]
      : chain.map((at) => crumb(name(tree.frame[at]), { path: pathOf(tree, at) }, at === top));
    this.crumbs.replaceChildren(...[first, ...others].flatMap((c, i) => (i ? [h("span", { "aria-hidden": "true" }, "›"), c] : [c])));
    if (others.length) this.crumbs.scrollLeft = this.crumbs.scrollWidth;
  }

  tellDetails() {
    const isFrame = this.chosenFrame() >= 0;
    const [name, ...lines] = isFrame ? describe(this, this.scene.selected) : [""];
    this.details.replaceChildren(h("b", {}, name), ...lines.map((line) => h("span", {}, line)));
    this.copier.disabled = !isFrame;
    this.ways.select.options[2].disabled = !isFrame && this.state.way !== "sandwich";
  }

  // ---- what people do ---------------------------------------------------------------------------

  listen() {
    const { canvas, box, root } = this;
    new ResizeObserver(() => this.measureWidth()).observe(this.host);
    box.addEventListener("scroll", () => this.paint());
    this.search.addEventListener("input", () => this.find());
    canvas.addEventListener("click", (event) => this.click(event));
    canvas.addEventListener("contextmenu", (event) => { event.preventDefault(); this.back(); });
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("pointerdown", (event) => { this.grip = { y: event.clientY, top: box.scrollTop, moved: false }; });
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.paint());
    root.addEventListener("keydown", (event) => this.press(event));
    // Whatever changes the theme changes the colour of the text, which the stylesheet lets be noticed.
    root.addEventListener("transitionend", () => { this.ink = null; this.paint(); });
    refitOnPaper(new WeakRef(this));
  }

  hit(event) {
    const bounds = this.canvas.getBoundingClientRect();
    return this.painter.at(event.clientX - bounds.left, event.clientY - bounds.top + this.box.scrollTop);
  }

  click(event) {
    const hit = this.hit(event);
    if (this.grip?.moved || !hit || hit.node < 0) return;
    if (event.ctrlKey || event.metaKey) this.back();
    else this.zoom(hit);
  }

  zoom({ panel, node }) {
    this.tip.hidden = true;
    const focus = panel.tree.frame[node];
    if (this.state.way === "sandwich" && focus !== this.state.focus) this.go({ focus });
    else if (this.state.way !== "sandwich" && node !== panel.top) this.go({ path: pathOf(panel.tree, node) });
    this.report();
  }

  report() {
    const { panel: { tree }, node } = this.scene.selected;
    const frame = tree.frame[node];
    if (frame < 0 || !this.onselect) return;
    const { profile, unit, per, span } = this;
    const named = { function: functionOf(profile, frame), file: fileOf(profile, frame), line: profile.frames.line[frame] };
    this.onselect({ ...named, unit, per, per_step: tree.total[BYTES][node], blocks_per_step: tree.total[COUNT][node],
      self_per_step: tree.own[BYTES][node], window: span ?? [this.brush.edges[0], this.brush.edges.at(-1)] });
  }

  hover(event) {
    const { grip, box, tip } = this;
    if (event.buttons && grip && event.pointerType === "mouse") {
      box.scrollTop = grip.top + grip.y - event.clientY;
      grip.moved ||= Math.abs(event.clientY - grip.y) > 4;
    }
    const hit = this.hit(event);
    tip.hidden = !hit || event.pointerType === "touch";
    if (tip.hidden) return;
    const [name, ...lines] = describe(this, hit);
    const source = hit.node < 0 ? "" : this.sourceOf(hit.panel.tree.frame[hit.node]);
    tip.replaceChildren(h("b", {}, name), ...lines.map((line) => h("div", {}, line)), ...sourceBlock(source));
    this.placeTip(event);
  }

  placeTip(event) {
    const bounds = this.root.getBoundingClientRect();
    const x = Math.min(event.clientX - bounds.left + 14, Math.max(bounds.width - this.tip.offsetWidth, 0));
    this.tip.style.transform = `translate(${x}px, ${event.clientY - bounds.top + 18}px)`;
  }

  press(event) {
    const [target] = event.composedPath();
    const isChoosing = target.matches("input, select");
    if (target === this.search && event.key === "Escape") this.canvas.focus();
    if (isChoosing || event.ctrlKey || event.metaKey || event.altKey) return;
    const onCanvas = target === this.canvas;
    const act = { "/": () => this.search.focus(), c: () => this.copy(), Escape: () => this.back(), Backspace: () => this.back(),
      ...(onCanvas ? this.walking(event.key) : {}) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  walking(key) {
    const step = () => {
      const from = this.crossing(key);
      this.choose({ panel: from.panel, node: neighbour(from, key) });
    };
    const top = () => this.choose({ panel: this.scene.selected.panel, node: this.scene.selected.panel.top });
    return { ArrowUp: step, ArrowDown: step, ArrowLeft: step, ArrowRight: step, Home: top, Enter: () => this.zoom(this.scene.selected) };
  }

  /** The two halves of a sandwich meet in the frame itself: up leads to one, down to the other. */
  crossing(key) {
    const { panel, node } = this.scene.selected;
    const way = { ArrowUp: true, ArrowDown: false }[key];
    const other = this.scene.panels.find((one) => one.up === way);
    return node === panel.top && other ? { panel: other, node: other.top } : { panel, node };
  }

  choose(selected) {
    this.scene.selected = selected;
    const y = this.painter.placeOf(selected) ?? this.box.scrollTop;
    if (y < this.box.scrollTop) this.box.scrollTop = y;
    if (y + ROW > this.box.scrollTop + this.height) this.box.scrollTop = y + ROW - this.height;
    this.tellDetails();
    this.paint();
  }

  async copy() {
    const { panel: { tree, up }, node } = this.scene.selected;
    const path = pathOf(tree, node);
    const lines = [...(up || this.state.way === "up" ? path.reverse() : path)]
      .map((frame) => `${functionOf(this.profile, frame)} (${placeOf(this.profile, frame) || "unknown"})`);
    await copied(lines.join("\n"), this.root);
    this.copier.textContent = "Copied";
    setTimeout(() => { this.copier.textContent = "Copy stack"; }, 1500);
  }
}

// ---- small helpers ------------------------------------------------------------------------------

/** Paper has another width than the screen. What is listened to outlives the figure: hold it weakly. */
function refitOnPaper(held) {
  const media = matchMedia("print");
  const listener = () => {
    const figure = held.deref();
    if (figure) figure.refit();
    else media.removeEventListener("change", listener);
  };
  media.addEventListener("change", listener);
}

async function copied(text, root) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "off" });
    area.value = text;
    root.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/**
 * Draw a flamegraph into a host; what is in it stays there for those without scripts.
 * @param {HTMLElement} host
 * @param {object} payload
 * @param {(selection: object) => void} [onselect] called with each frame that is zoomed into
 */
export async function draw(host, payload, onselect) {
  host.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's keys are not ours
  if (payload.empty) return null;
  try {
    return new Figure(host, payload, await decode(payload), onselect);
  } catch (error) {
    host.append(h("p", {}, `This figure could not be drawn: ${error.message}`));
    return null;
  }
}

/** Draw every flamegraph of the page that is not drawn yet, from the data that follow it. */
export function drawAll() {
  for (const host of document.querySelectorAll("div.resleak-flame:not([data-drawn])")) {
    const data = host.nextElementSibling;
    if (!data?.matches("script[type='application/json']")) continue;
    host.dataset.drawn = "";
    draw(host, JSON.parse(data.textContent));
  }
}
