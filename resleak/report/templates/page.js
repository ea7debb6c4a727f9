"use strict";
(() => {
  const root = document.documentElement;

  // ---- tables: sorted by their heads, filtered by a word ---------------------------------------

  const POWERS = { K: 1, M: 2, G: 3, T: 4 };
  const SECONDS = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600 };
  const NUMBER = /^[≤≥<>~±∝\s]*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*(?:([KMGT])iB|(ns|µs|ms|s|min|h)(?![\w/]))?/i;

  /** The number that a text begins with, in bytes or seconds if it has such a unit. */
  function numberIn(text) {
    const plain = text.replace(/(\d)[\s\u00a0,](?=\d{3}(?!\d))/g, "$1").replaceAll("−", "-");
    const found = plain.trim().match(NUMBER);
    if (!found) return NaN;
    return Number(found[1]) * 1024 ** (POWERS[found[2]?.toUpperCase()] ?? 0) * (SECONDS[found[3]] ?? 1);
  }

  const textOf = (row, column) => row.cells[column]?.textContent.trim() ?? "";
  const isHeading = (row) => row.cells.length === 1;

  /** Cells that span rows would be torn apart: each row gets its own. */
  function spread(body) {
    [...body.rows].forEach((row, at) => {
      [...row.cells].forEach((cell, column) => {
        const span = cell.rowSpan;
        cell.rowSpan = 1;
        for (let more = 1; more < span; more += 1) {
          const below = body.rows[at + more];
          below?.insertBefore(cell.cloneNode(true), below.cells[column] ?? null);
        }
      });
    });
  }

  /** The rows below each heading that goes across the whole table, or all of them. */
  function groups(body) {
    const found = [{ heading: null, rows: [] }];
    for (const row of body.rows) {
      if (isHeading(row)) found.push({ heading: row, rows: [] });
      else found.at(-1).rows.push(row);
    }
    return found;
  }

  function sort(table, column) {
    const [body] = table.tBodies;
    spread(body);
    const head = table.tHead.rows[0].cells;
    const filled = [...body.rows].map((row) => textOf(row, column)).filter((text) => text && text !== "—");
    const isNumber = filled.length > 0 && filled.filter((text) => !Number.isNaN(numberIn(text))).length > filled.length * 0.7;
    const before = head[column].ariaSort;
    const up = before === "none" ? !isNumber : before === "descending";
    const key = isNumber ? (row) => numberIn(textOf(row, column)) : (row) => textOf(row, column);
    const compare = isNumber ? (a, b) => a - b : new Intl.Collator(undefined, { numeric: true }).compare;
    const missing = (value) => value === "" || Number.isNaN(value);
    for (const { heading, rows } of groups(body)) {
      const keyed = rows.map((row) => [key(row), row]);
      keyed.sort(([a], [b]) => missing(a) - missing(b) || (up ? 1 : -1) * compare(a, b));
      body.append(...(heading ? [heading] : []), ...keyed.map(([, row]) => row));
    }
    for (const cell of head) cell.ariaSort = "none";
    head[column].ariaSort = up ? "ascending" : "descending";
  }

  function filter(table, words, told) {
    const [body] = table.tBodies;
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length) spread(body);
    let [shown, all] = [0, 0];
    for (const { heading, rows } of groups(body)) {
      const matching = rows.filter((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        return !row.hidden;
      });
      shown += matching.length;
      all += rows.length;
      if (heading) heading.hidden = matching.length === 0;
    }
    told.textContent = wanted.length ? `${shown} of ${all} rows` : "";
  }

  function make(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  for (const table of document.querySelectorAll("main .scroll table")) {
    const rows = [...(table.tBodies[0]?.rows ?? [])].filter((row) => !isHeading(row)).length;
    const head = table.tHead?.rows[0]?.cells;
    if (!head || rows < 2) continue;
    [...head].forEach((cell, column) => {
      if (!cell.textContent.trim()) return;
      cell.ariaSort = "none";
      cell.scope = "col";
      const button = make("button", { type: "button", className: "sort" }, ...cell.childNodes);
      button.addEventListener("click", () => sort(table, column));
      cell.replaceChildren(button);
    });
    if (rows < 8) continue;
    const told = make("output", {});
    const field = make("input", { type: "search", placeholder: `Filter ${rows} rows`, ariaLabel: "filter rows" });
    field.addEventListener("input", () => filter(table, field.value, told));
    table.before(make("div", { className: "filter" }, field, told));
  }

  // ---- the summary, to paste elsewhere ---------------------------------------------------------

  const copier = document.getElementById("copy");
  const summary = document.getElementById("summary-text");

  /** Copy where no clipboard is offered: by what is selected. */
  function copySelected() {
    summary.closest("details").open = true;
    getSelection().selectAllChildren(summary);
    return document.execCommand("copy");
  }

  if (copier && summary) {
    copier.hidden = false;
    copier.addEventListener("click", async () => {
      const copied = await navigator.clipboard?.writeText(summary.textContent).then(() => true, () => false);
      copier.textContent = copied || copySelected() ? "Copied" : "Select and copy it below";
    });
  }

  // ---- figures ---------------------------------------------------------------------------------

  const places = [...document.querySelectorAll("div.figure")];

  async function unpacked(name) {
    const text = document.querySelector(`script[type="application/gzip"][data-holds="${name}"]`).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  const rested = (ms = 0) => new Promise((resume) => { setTimeout(resume, ms); });

  /**
   * On a phone what is written in a figure gets smaller, so that no line is cut off; verdicts are
   * told apart by the colours of the legend, without names.
   */
  const NARROW = 480;
  function shrink({ annotations = [], title }) {
    for (const text of [...annotations, title?.subtitle].filter(Boolean)) text.font = { ...text.font, size: 9 };
    for (const head of annotations.filter(({ name }) => name === "head")) {
      head.text = head.text.replace(/(■<\/span>) [^<]*: <b>/g, "$1 <b>");
    }
  }

  /** Make room for a legend that breaks into more lines than its figure was made for. */
  async function giveRoom(place) {
    const { annotations = [], height, legend, margin } = place.layout;
    const drawn = place.querySelector(".legend");
    const first = annotations.findIndex(({ name }) => name === "head");
    if (!drawn || first < 0) return;
    const head = place.querySelector(`.annotation[data-index="${first}"]`);
    const more = drawn.getBoundingClientRect().bottom - head.getBoundingClientRect().top;
    if (more <= 0) return;
    place.style.height = `${height + more}px`;
    tall.set(place, height + more);
    const y = 1 - ((1 - legend.y) * height) / (height + more);
    await Plotly.relayout(place, { height: height + more, "margin.t": margin.t + more, "legend.y": y });
  }

  async function draw() {
    const figures = JSON.parse(await unpacked("figures"));
    const config = JSON.parse(document.querySelector("script[data-holds='config']").textContent);
    // Its hash is in the policy: nothing else would run.
    document.head.append(make("script", { textContent: await unpacked("plotly") }));
    for (const [number, place] of places.entries()) {
      await rested(); // so that whoever scrolls or types meanwhile is not held up
      const { data, layout, frames } = figures[number];
      if (place.clientWidth < NARROW) shrink(layout);
      await Plotly.newPlot(place, { data, layout, frames, config });
      if (place.clientWidth < NARROW) await giveRoom(place);
    }
  }

  const failed = (error) => places.forEach((place) => {
    if (!place.data) place.textContent = `This figure could not be drawn: ${error.message}`;
  });
  // Paper has another width than the screen, and is laid out without a resize; half a page is as
  // much as stays below the text before it.
  const PAPER = 430;
  const heightOf = (place) => parseFloat(place.style.height);
  const tall = new Map(places.map((place) => [place, heightOf(place)]));
  const fit = ({ matches }) => places.forEach((place) => {
    if (!place.data) return;
    const zoom = matches ? Math.min(1, PAPER / tall.get(place)) : 1;
    const width = place.clientWidth / zoom;
    Plotly.relayout(place, matches ? { width } : { width: null, autosize: true });
    place.style.height = `${zoom * tall.get(place)}px`;
    place.firstElementChild.style.transform = matches ? `scale(${zoom})` : "";
  });
  matchMedia("print").addEventListener("change", fit);
  // Before pages are counted; widths are those of the paper only later.
  addEventListener("beforeprint", () => fit({ matches: true }));
  addEventListener("afterprint", () => fit({ matches: false }));

  /** The height of the page once it has stopped changing: what takes a picture of it waits for that. */
  async function settled() {
    let [height, still] = [0, 0];
    while (still < 6) {
      await rested(40);
      const now = Math.ceil(document.body.getBoundingClientRect().height);
      still = now === height ? still + 1 : 0;
      height = now;
    }
    return height;
  }

  addEventListener("DOMContentLoaded", async () => {
    if (places.length) await draw().catch(failed);
    root.dataset.height = await settled();
  });
})();
