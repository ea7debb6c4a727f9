// The document's `ResourceMonitor`, as printed, in programs that leak nothing, and in one that does.
//
// The document names no limit. `proposed` enforces 200 MB before each of 40 jobs whose 10 MB become
// garbage at once, more than V8 lets such garbage grow to. `proposed_keeps_…` do the same before jobs
// that keep their 10 MB: as typed arrays and as WebAssembly memory, which is what the document says
// accumulates and so decides the row, or as plain objects. `proposed_50_mb` has a limit below that
// garbage; `_cleans_up` calls forceCleanup() first, and `_exposed` does so with --expose-gc, without
// which that call does nothing. The percentage is read in an idle process, and getActiveHandles() in
// one that has 20 open files and 5 timers.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { report } from "../_check.mjs";

const run = promisify(execFile);
const MONITOR = `
class ResourceMonitor {
  static getMemoryUsage() {
    const usage = process.memoryUsage();
    return { used: usage.heapUsed, total: usage.heapTotal,
      percentage: (usage.heapUsed / usage.heapTotal) * 100 };
  }
  static getActiveHandles() { return process._getActiveHandles?.()?.length || 0; }
  static enforceMemoryLimit(limitMB) {
    const usage = this.getMemoryUsage();
    if (usage.used > limitMB * 1024 * 1024)
      throw new Error("Memory limit exceeded: " + usage.used + " > " + limitMB + "MB");
  }
  static async forceCleanup() {
    if (global.gc) {
      global.gc();
      await new Promise((resolve) => setTimeout(resolve, 100));
      global.gc();
    }
  }
}
const idle = () => new Promise((resolve) => setTimeout(resolve, 200));
const objects = (megabytes) => { const all = [];
  for (let n = 0; n < megabytes * 5000; n++) all.push({ n, text: "document " + n, vector: [n, n, n] });
  return all; };
const arrays = (megabytes) => new Float32Array(megabytes * 2 ** 18).fill(1);
const wasm = (megabytes) => { const memory = new WebAssembly.Memory({ initial: megabytes * 16 });
  new Uint8Array(memory.buffer).fill(1); return memory; };`;
const PROGRAMS = {
  idle: `await idle(); return { percentage: ResourceMonitor.getMemoryUsage().percentage };`,
  handles: `const fs = require("fs"); const open = [];
    for (let n = 0; n < 20; n++) open.push(await fs.promises.open(process.execPath));
    for (let n = 0; n < 5; n++) setInterval(() => {}, 1000);
    const counted = ResourceMonitor.getActiveHandles();
    return { open_files: open.length, timers: 5, active_handles: counted };`,
  work: `let refused = 0, completed = 0, peak = 0; const kept = [];
    for (let n = 0; n < 40; n++) {
      if (CLEANS_UP) await ResourceMonitor.forceCleanup();
      try {
        ResourceMonitor.enforceMemoryLimit(LIMIT_MB);
        const all = JOB(10);
        if (KEEPS) kept.push(all);
        completed++;
      } catch { refused++; }
      peak = Math.max(peak, process.memoryUsage().heapUsed);
    }
    const rss_mb = Math.round(process.memoryUsage().rss / 2 ** 20);
    return { jobs: 40, completed, refused, peak_mb: Math.round(peak / 2 ** 20), rss_mb };`,
  cleanup: `objects(30); const before = process.memoryUsage().heapUsed;
    await ResourceMonitor.forceCleanup();
    return { freed_bytes: before - process.memoryUsage().heapUsed };`,
};

async function measure(name, { limitMB = 200, keeps = "", cleansUp = false, flags = [] } = {}) {
  const settings =
    `const CLEANS_UP = ${cleansUp}, KEEPS = ${keeps !== ""}, JOB = ${keeps || "objects"}, ` +
    `LIMIT_MB = ${limitMB};`;
  const body = `${settings} (async () => { ${PROGRAMS[name]} })().then((counts) =>
    process.stdout.write(JSON.stringify(counts), () => process.exit()));`;
  const { stdout } = await run(process.execPath, [...flags, "-e", MONITOR + body], { timeout: 20_000 });
  return JSON.parse(stdout);
}

const low = { limitMB: 50 };
const exposed = { cleansUp: true, flags: ["--expose-gc"] };
const variants = {
  proposed: await measure("work"),
  proposed_keeps_arrays: await measure("work", { keeps: "arrays" }),
  proposed_keeps_wasm: await measure("work", { keeps: "wasm" }),
  proposed_keeps_objects: await measure("work", { keeps: "objects" }),
  proposed_50_mb: await measure("work", low),
  proposed_50_mb_cleans_up: await measure("work", { ...low, cleansUp: true }),
  proposed_50_mb_exposed: await measure("work", { ...low, ...exposed }),
  proposed_idle: await measure("idle"),
  proposed_handles: await measure("handles"),
  proposed_cleanup: await measure("cleanup"),
  proposed_cleanup_exposed: await measure("cleanup", exposed),
};
const { proposed, proposed_keeps_arrays, proposed_keeps_wasm, proposed_keeps_objects } = variants;
const { proposed_50_mb, proposed_50_mb_exposed, proposed_handles } = variants;
const outside = [proposed_keeps_arrays, proposed_keeps_wasm];
const stopsLeaks = outside.every((counts) => counts.refused > 0);
report({
  variants,
  row: {
    seed: "001 priority 3",
    claim: "ResourceMonitor keeps memory below a limit",
    condition:
      "called before each job (ours), without phase 1, which the plan has before it. Jobs keep WebAssembly " +
      "memory, as in 1.2 (phase 1 disposes of it), or typed arrays (ours, which then decide alone): " +
      "heapUsed does not count these; plain objects it does, and refuses. The limit, not named, must be " +
      "above what V8 lets garbage grow to (110 MB with Node 20, 200 with 24), or forceCleanup() come " +
      "first, with --expose-gc; else it refuses jobs that keep nothing. getActiveHandles() counts no " +
      "files or timers",
    claimed_by: "document",
    origin: "",
    fix_origin: "document code",
    language: "TypeScript",
  },
  // Not "harmful" where the limit refuses garbage: its value is ours.
  fix: stopsLeaks ? "holds" : "insufficient",
  summary:
    `a limit of 200 MB refuses ${proposed_keeps_arrays.refused} of 40 jobs that keep 10 MB as a typed ` +
    `array, ${proposed_keeps_wasm.refused} as WebAssembly memory (heapUsed ` +
    `${proposed_keeps_arrays.peak_mb} MB, all of the process ${proposed_keeps_arrays.rss_mb} MB), ` +
    `${proposed_keeps_objects.refused} as plain objects, and ${proposed.refused} that keep nothing ` +
    `(garbage grows to ${proposed.peak_mb} MB); 50 MB refuse ${proposed_50_mb.refused} that keep ` +
    `nothing, ${proposed_50_mb_exposed.refused} with --expose-gc and forceCleanup(); 20 open files and ` +
    `5 timers count as ${proposed_handles.active_handles} active handles`,
});
