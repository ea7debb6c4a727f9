// Descriptors and partial files of downloads that are aborted in `pipeTo()`: 100 per case.
//
// `leaky` is the printed pair of lines, `fixed` (ours) also removes the file it could not finish.
import fs from "node:fs";
import path from "node:path";
import { Writable } from "node:stream";
import { collect, descriptors, folder, pause, report } from "../_check.mjs";

const ABORTS = 100;

async function download(file, cleanUp) {
  const abort = new AbortController();
  let chunks = 0;
  const content = new ReadableStream({
    async pull(controller) {
      if (++chunks === 4) abort.abort();
      await new Promise((resolve) => setImmediate(resolve));
      controller.enqueue(new Uint8Array(8192));
    },
  });
  const target = Writable.toWeb(fs.createWriteStream(file));
  try {
    await content.pipeTo(target, { signal: abort.signal });
  } catch {
    if (cleanUp) await fs.promises.rm(file, { force: true });
  }
}

async function measure(cleanUp) {
  const place = folder();
  const before = descriptors();
  for (let n = 0; n < ABORTS; n++) await download(path.join(place, `${n}.zip`), cleanUp);
  await pause(300);
  await collect();
  return { descriptors: descriptors() - before, files_left: fs.readdirSync(place).length };
}

const variants = { leaky: await measure(false), fixed: await measure(true) };
report({
  variants,
  summary:
    `${variants.leaky.descriptors} of ${ABORTS} descriptors stay open, so pipeTo() does clean up; ` +
    `${variants.leaky.files_left} partial files stay, ${variants.fixed.files_left} where they are removed`,
});
