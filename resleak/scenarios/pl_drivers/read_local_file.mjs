// Descriptors of streams that `readLocalFile()` returned, and calls that fail for want of one.
//
// `leaky` is the printed function. 50 calls one after the other: the caller reads the stream to its
// end, cancels it, or takes the size and never reads; only the last is a leak: no collection closes
// a file's stream. And 800 calls at once under a hard limit of 256 open files, to which Node raises
// its soft limit: `proposed_around_the_call` limits the calls to 64, `proposed` holds the slot until
// the stream closes; in `proposed_some_unread` every tenth caller never reads.
import { execFile } from "node:child_process";
import fs from "node:fs";
import fsp from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { collect, descriptors, folder, pause, report } from "../_check.mjs";

const CALLS = 50;
const AT_ONCE = 800;
const SLOTS = 64;
const OPEN_FILES = 256;

// As printed, for a whole file; the limited ways also want to know when the stream closes.
async function readLocalFile(fullPath, onClose = () => {}) {
  const stream = fs.createReadStream(fullPath).once("close", onClose);
  return { content: Readable.toWeb(stream), size: (await fsp.stat(fullPath)).size };
}

async function drain({ content }) {
  for await (const _chunk of content);
}

async function measure(use) {
  const before = descriptors();
  for (let call = 0; call < CALLS; call++) await use(await readLocalFile(file));
  await pause(300);
  const open = descriptors() - before;
  await collect();
  return { descriptors: open, descriptors_after_collection: descriptors() - before };
}

class Slots {
  free = SLOTS;
  waiting = [];
  async take() {
    if (this.free > 0) this.free--;
    else await new Promise((resolve) => this.waiting.push(resolve));
  }
  release = () => {
    const next = this.waiting.shift();
    if (next) next();
    else this.free++;
  };
}

const slots = new Slots();
const WAYS = {
  leaky: () => readLocalFile(file),
  proposed: async () => {
    await slots.take();
    return readLocalFile(file, slots.release);
  },
  proposed_around_the_call: async () => {
    await slots.take();
    return readLocalFile(file).finally(slots.release);
  },
};
WAYS.proposed_some_unread = WAYS.proposed;

// In a process of its own, with its limit of open files: how many of the calls fail, or wait for ever.
async function flood(way) {
  let completed = 0;
  let failed = 0;
  const calls = Array.from({ length: AT_ONCE }, async (_, n) => {
    try {
      const answer = await WAYS[way]();
      if (way !== "proposed_some_unread" || n % 10) await drain(answer);
      completed++;
    } catch {
      failed++;
    }
  });
  await Promise.race([Promise.all(calls), pause(4000)]);
  console.log(JSON.stringify({ calls: AT_ONCE, failed, waiting: AT_ONCE - completed - failed }));
  process.exit();
}

async function limited(way) {
  const command = `ulimit -n ${OPEN_FILES}; exec "$@"`;
  const program = [process.execPath, fileURLToPath(import.meta.url), way, file];
  const { stdout } = await promisify(execFile)("sh", ["-c", command, "sh", ...program]);
  return JSON.parse(stdout);
}

const [way, given] = process.argv.slice(2);
const file = given ?? path.join(folder(), "blob");
if (way) await flood(way);
fs.writeFileSync(file, Buffer.alloc(200_000));
const variants = {
  leaky_read_to_its_end: await measure(drain),
  leaky_cancelled: await measure(({ content }) => content.cancel()),
  leaky_never_read: await measure(({ size }) => size),
};
for (const name of Object.keys(WAYS)) variants[name] = await limited(name);
const stays = (name) => (variants[name].failed || variants[name].waiting ? "insufficient" : "holds");
const left = (name) => variants[name].descriptors_after_collection;
report({
  variants,
  outcome: variants.leaky.failed ? "reproduced" : "not reproduced",
  fix: stays("proposed"),
  readings: { proposed_around_the_call: stays("proposed_around_the_call") },
  summary:
    `${variants.leaky.failed} of ${AT_ONCE} calls at once fail with ${OPEN_FILES} open files, ` +
    `${variants.proposed_around_the_call.failed} with a limit around the call, ${variants.proposed.failed} ` +
    `where a slot is kept until the stream closes; with every tenth stream unread ` +
    `${variants.proposed_some_unread.waiting} then wait for ever. ${left("leaky_never_read")} of ${CALLS} ` +
    `descriptors stay open when the stream is never read, also after five collections; ` +
    `${left("leaky_read_to_its_end")} when it is read to its end, ${left("leaky_cancelled")} when cancelled`,
});
