// FileHandles of writes that fail: 50 per case, and 160 writes at once.
//
// `leaky` is the printed triple of open, write, close without a `finally`; `fixed` (ours) has one.
// The write fails as its offset lies beyond the largest file. Node closes a FileHandle that is
// collected, and warns of it: late, but not never. From 25 on that is an error, which ends a process
// that does not catch it; it is counted here.
import fs from "node:fs/promises";
import path from "node:path";
import { collect, descriptors, folder, report } from "../_check.mjs";

const WRITES = 50;
const AT_ONCE = 160;
const TOO_FAR = Number.MAX_SAFE_INTEGER;
const data = Buffer.alloc(4096);
const file = path.join(folder(), "blob");
await fs.writeFile(file, "");
process.on("warning", () => {}); // "Closing file descriptor on garbage collection"
let errors = 0;
process.on("uncaughtException", () => errors++);

async function printed(from) {
  const fileHandle = await fs.open(file, "r+");
  await fileHandle.write(data, 0, data.length, from);
  await fileHandle.close();
}

async function withFinally(from) {
  const fileHandle = await fs.open(file, "r+");
  try {
    await fileHandle.write(data, 0, data.length, from);
  } finally {
    await fileHandle.close();
  }
}

async function measure(write) {
  const before = descriptors();
  let failed = 0;
  for (let n = 0; n < WRITES; n++) await write(TOO_FAR).catch(() => failed++);
  const open = descriptors() - before;
  await collect();
  const after = descriptors() - before;
  return { failed, descriptors: open, descriptors_after_collection: after, uncaught: errors };
}

async function peak(write) {
  const before = descriptors();
  const open = fs.open;
  let most = 0;
  // Read as each opening is done: a timer misses the peak where other processes have the processor.
  fs.open = async (...args) => {
    const fileHandle = await open(...args);
    most = Math.max(most, descriptors() - before);
    return fileHandle;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => write(n * 4096)));
  fs.open = open;
  return { peak_descriptors: most, descriptors: descriptors() - before };
}

const variants = {
  leaky_write_fails: await measure(printed),
  fixed_write_fails: await measure(withFinally),
  leaky: await peak(printed),
};
const leaky = variants.leaky_write_fails;
report({
  variants,
  summary:
    `${AT_ONCE} writes at once have ${variants.leaky.peak_descriptors} descriptors open; after ${leaky.failed} failed writes ${leaky.descriptors} descriptors are open, ` +
    `${leaky.descriptors_after_collection} after a collection: a FileHandle is closed when it is ` +
    `collected${errors ? `, and the ${errors} errors of it end a process` : ""}; with a finally ` +
    `${variants.fixed_write_fails.descriptors}`,
});
