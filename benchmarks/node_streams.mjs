// What Node itself does with a read that fails and a download that is aborted: open descriptors and
// files before and after. The figures stand in pl_drivers/last_lines and pl_drivers/zip_write_abort.
//
//     node benchmarks/node_streams.mjs
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { Writable } from "node:stream";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-streams-"));
const open = () => fs.readdirSync("/proc/self/fd").length;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function count(what, times, once) {
  const before = open();
  for (let n = 0; n < times; n++) await once(n);
  await pause(200);
  console.log(`${what}, ${times} times: ${before} descriptors before, ${open()} after`);
}

process.on("uncaughtException", () => {}); // the stream's own error, which nobody listens to

const log = path.join(folder, "log");
fs.writeFileSync(log, "line\n".repeat(200_000));
await count("read error of the stream", 50, async () => {
  readline.createInterface(fs.createReadStream(folder), new Writable());
  await pause(10);
});
await count("line reader closed, stream left", 50, async () => {
  const lines = readline.createInterface(fs.createReadStream(log));
  await new Promise((resolve) => lines.on("line", () => (lines.close(), resolve())));
});
await count("pipeTo aborted", 100, async (n) => {
  const abort = new AbortController();
  let chunks = 0;
  const content = new ReadableStream({
    async pull(controller) {
      if (++chunks === 4) abort.abort();
      await new Promise((resolve) => setImmediate(resolve));
      controller.enqueue(new Uint8Array(8192));
    },
  });
  const file = Writable.toWeb(fs.createWriteStream(path.join(folder, `part-${n}`)));
  await content.pipeTo(file, { signal: abort.signal }).catch(() => {});
});
const left = fs.readdirSync(folder).filter((name) => name.startsWith("part-"));
console.log(`partial files left: ${left.length}`);
fs.rmSync(folder, { recursive: true });
process.exit(0);
