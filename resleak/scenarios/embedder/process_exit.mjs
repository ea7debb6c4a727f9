// `process.exit(0)` while a timer, a server, a worker, a child process and an open file are alive.
//
// The document says that the call "may hang indefinitely". A program that has not ended 8 s
// later counts as one that hangs; `no_exit_call` is the control: without the call it does hang.
import { spawn } from "node:child_process";
import { hangs, report } from "../_check.mjs";

const PROGRAM = `
const fs = require("fs"), http = require("http"), { Worker } = require("worker_threads");
const { spawn } = require("child_process");
const [has, exits] = process.argv.slice(1);
const all = has === "everything", ready = [];
const once = (emitter, event) => ready.push(new Promise((resolve) => emitter.once(event, resolve)));
if (all || has === "timer") setInterval(() => {}, 1000);
if (all || has === "server") once(http.createServer().listen(0, "127.0.0.1"), "listening");
if (all || has === "worker") once(new Worker("setInterval(() => {}, 1000)", { eval: true }), "online");
if (all || has === "child") once(spawn(process.execPath, ["-e", "setTimeout(() => {}, 3000)"]), "spawn");
if (all || has === "file") once(fs.createReadStream(process.execPath), "open");
Promise.all(ready).then(() => { process.stdout.write("ready"); if (exits === "exit") process.exit(0); });`;

async function measure(has, exits) {
  const stdio = ["ignore", "pipe", "ignore"];
  const child = spawn(process.execPath, ["-e", PROGRAM, has, exits], { stdio });
  return { hangs: await hangs(child) };
}

const kinds = ["timer", "server", "worker", "child", "file", "everything"];
const measured = kinds.map(async (kind) => [`leaky_${kind}`, await measure(kind, "exit")]);
const control = measure("everything", "");
const variants = Object.fromEntries(await Promise.all(measured));
const hanging = Object.values(variants).filter((result) => result.hangs).length;
variants.no_exit_call = await control;
report({
  variants,
  row: {
    seed: "001 exit",
    claim: "process.exit(0) may hang indefinitely after an incomplete clean-up",
    condition: "never, with a timer, a server, a worker, a child process or an open file alive",
    claimed_by: "document",
    origin: "document code",
    fix_origin: "",
    language: "TypeScript",
  },
  outcome: hanging ? "reproduced" : "not reproduced",
  summary:
    `process.exit(0) hangs in ${hanging} of ${kinds.length} programs with a live timer, server, ` +
    `worker, child process or open file; without the call the program ` +
    `${variants.no_exit_call.hangs ? "does not end" : "ends"}`,
});
