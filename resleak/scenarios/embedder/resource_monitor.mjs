// The document's `ResourceMonitor`, as printed, in programs that leak nothing.
//
// `proposed` enforces a limit of 50 MB before each of 40 jobs whose 10 MB become garbage at once;
// `proposed_cleans_up` calls forceCleanup() first, and `fixed` does so with --expose-gc, without
// which that call does nothing. The percentage is read in an idle process, and getActiveHandles()
// in one that has 20 open files and 5 timers.
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
const job = (megabytes) => { const all = [];
  for (let n = 0; n < megabytes * 5000; n++) all.push({ n, text: "document " + n, vector: [n, n, n] });
  return all.length; };`;
const PROGRAMS = {
  idle: `await idle(); return { percentage: ResourceMonitor.getMemoryUsage().percentage };`,
  handles: `const fs = require("fs"); const open = [];
    for (let n = 0; n < 20; n++) open.push(await fs.promises.open(process.execPath));
    for (let n = 0; n < 5; n++) setInterval(() => {}, 1000);
    const counted = ResourceMonitor.getActiveHandles();
    return { open_files: open.length, timers: 5, active_handles: counted };`,
  work: `let refused = 0, completed = 0;
    for (let n = 0; n < 40; n++) {
      if (CLEANS_UP) await ResourceMonitor.forceCleanup();
      try { ResourceMonitor.enforceMemoryLimit(50); job(10); completed++; } catch { refused++; }
    }
    return { jobs: 40, completed, refused };`,
  cleanup: `job(30); const before = process.memoryUsage().heapUsed;
    await ResourceMonitor.forceCleanup();
    return { freed_bytes: before - process.memoryUsage().heapUsed };`,
};

async function measure(name, cleansUp = false, ...flags) {
  const body = `const CLEANS_UP = ${cleansUp}; (async () => { ${PROGRAMS[name]} })().then((counts) =>
    process.stdout.write(JSON.stringify(counts), () => process.exit()));`;
  const { stdout } = await run(process.execPath, [...flags, "-e", MONITOR + body], { timeout: 20_000 });
  return JSON.parse(stdout);
}

const variants = {
  proposed: await measure("work"),
  proposed_cleans_up: await measure("work", true),
  fixed: await measure("work", true, "--expose-gc"),
  proposed_idle: await measure("idle"),
  proposed_handles: await measure("handles"),
  proposed_cleanup: await measure("cleanup"),
  fixed_cleanup: await measure("cleanup", false, "--expose-gc"),
};
const { proposed, proposed_cleans_up, fixed, proposed_idle, proposed_handles } = variants;
report({
  variants,
  row: {
    seed: "001 priority 3",
    claim: "ResourceMonitor keeps memory below a limit",
    condition: "heapUsed counts garbage; nothing collects it while every job is refused",
    claimed_by: "document",
    origin: "",
    fix_origin: "document code",
    language: "TypeScript",
  },
  fix: proposed.refused ? "harmful" : "holds",
  summary:
    `a limit of 50 MB refuses ${proposed.refused} of 40 jobs that leave nothing behind, ` +
    `${proposed_cleans_up.refused} after forceCleanup(), ${fixed.refused} with --expose-gc; an idle ` +
    `process shows ${proposed_idle.percentage.toFixed(0)} %; 20 open files and 5 timers count as ` +
    `${proposed_handles.active_handles} active handles`,
});
