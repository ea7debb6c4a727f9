// `process.exit(0)` while something of the program is still alive.
//
// The document says that the call "may hang indefinitely". A program that has not ended 8 s later
// counts as one that hangs. The first six have an idle timer, server, worker, child process or open
// file; the last two a native call that does not return: a read of a FIFO that nobody writes to, in
// a worker and in libuv's thread pool, whose threads the exit waits for. `no_exit_call` is the
// control: without the call the program with everything hangs.
import { execFileSync, spawn } from "node:child_process";
import path from "node:path";
import { folder, hangs, report } from "../_check.mjs";

const PROGRAM = `
const fs = require("fs"), http = require("http"), { Worker } = require("worker_threads");
const { spawn } = require("child_process");
const [has, exits, fifo] = process.argv.slice(1);
const all = has === "everything", ready = [];
const once = (emitter, event) => ready.push(new Promise((resolve) => emitter.once(event, resolve)));
if (all || has === "timer") setInterval(() => {}, 1000);
if (all || has === "server") once(http.createServer().listen(0, "127.0.0.1"), "listening");
if (all || has === "worker") once(new Worker("setInterval(() => {}, 1000)", { eval: true }), "online");
if (all || has === "child") once(spawn(process.execPath, ["-e", "setTimeout(() => {}, 3000)"]), "spawn");
if (all || has === "file") once(fs.createReadStream(process.execPath), "open");
const reads = "const { workerData, parentPort } = require('worker_threads');" +
  "parentPort.postMessage(''); require('fs').readFileSync(workerData)";
if (has === "worker_in_call") once(new Worker(reads, { eval: true, workerData: fifo }), "message");
if (has === "pool_in_call") fs.readFile(fifo, () => {});
Promise.all(ready).then(() => setTimeout(() => {
  process.stdout.write("ready");
  if (exits === "exit") process.exit(0);
}, 200));`;

const fifo = path.join(folder(), "fifo");
execFileSync("mkfifo", [fifo]);

async function measure(has, exits) {
  const stdio = ["ignore", "pipe", "ignore"];
  const child = spawn(process.execPath, ["-e", PROGRAM, has, exits, fifo], { stdio });
  return { hangs: await hangs(child) };
}

const IDLE = ["timer", "server", "worker", "child", "file", "everything"];
const IN_CALL = ["worker_in_call", "pool_in_call"];
const measured = [...IDLE, ...IN_CALL].map(async (kind) => [`leaky_${kind}`, await measure(kind, "exit")]);
const control = measure("everything", "");
const variants = Object.fromEntries(await Promise.all(measured));
const hanging = (kinds) => kinds.filter((kind) => variants[`leaky_${kind}`].hangs).length;
variants.no_exit_call = await control;
const [idle, inCall] = [hanging(IDLE), hanging(IN_CALL)];
report({
  variants,
  row: {
    seed: "001 exit",
    claim: "process.exit(0) may hang indefinitely after an incomplete clean-up",
    condition:
      "constructed: a native call in a worker or in the thread pool does not return (a read of a FIFO; " +
      "the document names none). Never with an idle timer, server, worker, child process or open file. " +
      "Neither priority 1 nor gracefulShutdown (priority 4), which ends in the same call, was judged here",
    claimed_by: "document",
    origin: "constructed",
    fix_origin: "",
    language: "TypeScript",
  },
  outcome: idle ? "reproduced" : inCall ? "partly" : "not reproduced",
  summary:
    `process.exit(0) hangs in ${idle} of ${IDLE.length} programs with an idle timer, server, worker, ` +
    `child process, open file or all of these, and in ${inCall} of ${IN_CALL.length} with a native ` +
    `call that does not return; without the call the one with all ` +
    `${variants.no_exit_call.hangs ? "does not end" : "ends"}`,
});
