// Descriptors left by `getLastLines()` when it rejects: 50 calls per case.
//
// `leaky` is the printed path: the stream itself fails. `leaky_closed_early` (ours) closes the line
// reader after the first line and leaves its stream; `fixed` destroys the stream as well.
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { Writable } from "node:stream";
import { collect, descriptors, folder, pause, report } from "../_check.mjs";

const CALLS = 50;
const place = folder();
const log = path.join(place, "log");
fs.writeFileSync(log, "line\n".repeat(200_000));

async function measure(once) {
  const before = descriptors();
  for (let call = 0; call < CALLS; call++) await once();
  await pause(300);
  await collect();
  return { descriptors: descriptors() - before };
}

function failing(source, end) {
  const stream = fs.createReadStream(source);
  const lines = readline.createInterface(stream, new Writable());
  return new Promise((resolve) => {
    lines.on("error", resolve); // as printed, where it rejects
    lines.on("line", () => resolve(end(lines, stream)));
    setTimeout(resolve, 20); // a stream that fails sends no line
  });
}

const variants = {
  leaky: await measure(() => failing(place, () => {})), // a folder cannot be read
  leaky_closed_early: await measure(() => failing(log, (lines) => lines.close())),
  fixed: await measure(() =>
    failing(log, (lines, stream) => {
      lines.close();
      stream.destroy();
    }),
  ),
};
const left = (name) => variants[name].descriptors;
report({
  variants,
  summary:
    `${left("leaky")} of ${CALLS} descriptors stay open when the stream fails, as printed; ` +
    `${left("leaky_closed_early")} when only the line reader is closed, ${left("fixed")} when ` +
    `the stream is destroyed too`,
});
