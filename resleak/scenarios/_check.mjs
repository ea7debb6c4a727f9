// What the Node checks beside the scenarios share: how they count, and the line of JSON they print.
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

// A check that waits for something that never comes must still end; its caller allows 60 s.
setTimeout(() => {
  console.error("the check did not end within 50 s");
  process.exit(1);
}, 50_000).unref();

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Open descriptors of this process whose target begins with `kind`, such as "socket:".
export function descriptors(kind = "") {
  const folder = fs.existsSync("/proc/self/fd") ? "/proc/self/fd" : "/dev/fd";
  return fs.readdirSync(folder).filter((number) => {
    try {
      return fs.readlinkSync(path.join(folder, number)).startsWith(kind);
    } catch {
      return false; // the descriptor that listed the folder is closed by now
    }
  }).length;
}

// Five forced collections with time in between, so that finalizers run and close what they own.
export async function collect() {
  for (let round = 0; round < 5; round++) {
    globalThis.gc();
    await pause(40);
  }
}

// Whether a child process, once it has said "ready", is still running 8 s later; it is killed then.
export async function hangs(child) {
  await once(child.stdout, "data");
  const ended = await Promise.race([once(child, "exit"), pause(8000)]);
  if (!ended) child.kill("SIGKILL");
  return ended ? 0 : 1;
}

// A folder of this check alone, removed when the process ends.
export function folder() {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "node-check-"));
  process.on("exit", () => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

// `variants` is {name: {what was counted: number}}; `outcome` and `fix` are the register's words.
// `readings` are outcomes of another reading of the fix, by variant; they decide nothing. `row` says
// what the register needs where no scenario in Python declares it.
export function report({ summary, variants, outcome = null, fix = null, readings = {}, row = null }) {
  const { version: node } = process;
  console.log(JSON.stringify({ node, summary, outcome, fix, readings, variants, row }));
  process.exit(0);
}
