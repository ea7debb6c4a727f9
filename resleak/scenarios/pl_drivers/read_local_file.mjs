// Descriptors of streams that `readLocalFile()` returned: 50 calls per case.
//
// `leaky` is the printed function; the caller reads the stream to its end, cancels it, or takes the
// size and never reads. Only the last is a leak: no collection closes a file's stream.
import fs from "node:fs";
import fsp from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { collect, descriptors, folder, pause, report } from "../_check.mjs";

const CALLS = 50;
const file = path.join(folder(), "blob");
fs.writeFileSync(file, Buffer.alloc(200_000));

async function readLocalFile(fullPath, fromBytes, toBytes) {
  return {
    content: Readable.toWeb(
      fs.createReadStream(fullPath, {
        start: fromBytes,
        end: toBytes !== undefined ? toBytes - 1 : undefined,
      }),
    ),
    size: (await fsp.stat(fullPath)).size,
  };
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

const variants = {
  leaky_read_to_its_end: await measure(drain),
  leaky_cancelled: await measure(({ content }) => content.cancel()),
  leaky_never_read: await measure(({ size }) => size),
};
const left = (name) => variants[name].descriptors_after_collection;
report({
  variants,
  summary:
    `${left("leaky_never_read")} of ${CALLS} descriptors stay open when the stream is never read, ` +
    `also after five collections; ${left("leaky_read_to_its_end")} when it is read to its end, ` +
    `${left("leaky_cancelled")} when it is cancelled`,
});
