// Exit of a Node program that has a worker or a timer, and the rows that the exit loses.
//
// Each program hands 150 rows to a worker thread that writes them in batches of 100, and cleans up.
// `leaky` only drops its model; `proposed` is the document's list, which stops the worker first;
// `forced` is the old clean-up with the document's gracefulShutdown(forceExit), `proposed_forced`
// the new clean-up with it. A timer alone is `leaky_timer`, and `fixed_timer` clears it.
// A program that has not ended after 8 s counts as one that hangs.
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { folder, hangs, report } from "../_check.mjs";

const ROWS = 150;
const PROGRAM = `
const { Worker } = require("worker_threads");
const fs = require("fs");
const [file, has, cleansUp, forces] = process.argv.slice(1);
const code = \`const { parentPort } = require("worker_threads"), fs = require("fs");
  const held = [], write = () => fs.appendFileSync(\${JSON.stringify(file)}, held.splice(0).join(""));
  parentPort.on("message", (row) => {
    if (row === "stop") { write(); parentPort.close(); return; }
    held.push(row + "\\\\n");
    if (held.length === 100) write();
    if (row === ${ROWS} - 1) parentPort.postMessage("taken");
  });\`;
(async () => {
  let worker = null, timer = null;
  if (has === "timer") timer = setInterval(() => {}, 1000);
  if (has === "worker") {
    worker = new Worker(code, { eval: true });
    for (let row = 0; row < ${ROWS}; row++) worker.postMessage(row);
    await new Promise((resolve) => worker.once("message", resolve));
  }
  const cleanup = async () => {
    if (cleansUp === "all" && timer) clearInterval(timer);
    if (cleansUp === "all" && worker) {
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage("stop");
      await ended;
    }
  };
  process.stdout.write("ready");
  await cleanup();
  if (forces === "force") setTimeout(() => process.exit(0), 1000);
})();`;

const place = folder();
let number = 0;

async function measure(has, cleansUp, forces = "") {
  const file = path.join(place, String(number++));
  fs.writeFileSync(file, "");
  const child = spawn(process.execPath, ["-e", PROGRAM, file, has, cleansUp, forces], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const hanging = await hangs(child);
  const written = fs.readFileSync(file, "utf8").split("\n").length - 1;
  return { hangs: hanging, rows_lost: has === "worker" ? ROWS - written : 0 };
}

const cases = {
  leaky: ["worker", "model"],
  leaky_timer: ["timer", "model"],
  forced: ["worker", "model", "force"],
  proposed: ["worker", "all"],
  proposed_forced: ["worker", "all", "force"],
  fixed_timer: ["timer", "all"],
};
const results = await Promise.all(Object.values(cases).map((one) => measure(...one)));
const variants = Object.fromEntries(Object.keys(cases).map((name, n) => [name, results[n]]));
const { leaky, leaky_timer, forced, proposed, proposed_forced } = variants;
report({
  variants,
  outcome: leaky.hangs ? "reproduced" : "not reproduced",
  fix: proposed.hangs || proposed.rows_lost || proposed_forced.rows_lost ? "insufficient" : "holds",
  summary:
    `a worker ${leaky.hangs ? "keeps the process alive" : "does not keep the process alive"}, a ` +
    `timer ${leaky_timer.hangs ? "does too" : "does not"}; stopping it first loses ` +
    `${proposed.rows_lost} of ${ROWS} rows, forcing the exit on the old clean-up ${forced.rows_lost}`,
});
