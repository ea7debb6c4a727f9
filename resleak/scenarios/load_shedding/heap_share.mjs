// heapUsed / heapTotal, and heapUsed / heap_size_limit, in servers that leak nothing, and in one that does.
//
// The document does not say of what its 87 % are. Each server is a CommonJS program, as the document's is, in a process of its own. It reads the
// share ten times a second while idle, and at each of 500 requests that come one at a time and
// leave nothing behind: a share over 90 % would refuse the request, with no other one active.
// `leaky` keeps nothing, `leaky_20_mb` and `leaky_60_mb` keep that much for good, `leaking` (the
// control) loses 1 MB at every reading.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { report } from "../_check.mjs";

const run = promisify(execFile);
const REQUESTS = 500;
const SERVER = `
const http = require("http"), v8 = require("v8");
const [kept, leaked] = process.argv.slice(1).map(Number), all = [];
const add = (megabytes) => { for (let n = 0; n < megabytes * 2500; n++)
  all.push({ n, name: "module " + n, needs: [n, n + 1, n + 2], text: ("number " + n).repeat(12) }); };
add(kept);
const share = () => { const { heapUsed, heapTotal } = process.memoryUsage(); return heapUsed / heapTotal; };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const atRequest = [];
const server = http.createServer((request, response) => {
  atRequest.push(share());
  response.end("x".repeat(1000));
}).listen(0, "127.0.0.1", async () => {
  const idle = [], before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 20; n++) { idle.push(share()); add(leaked); await pause(100); }
  const grown = process.memoryUsage().heapUsed - before;
  const agent = new http.Agent({ keepAlive: true });
  for (let n = 0; n < ${REQUESTS}; n++)
    await new Promise((resolve) => http.get({ port: server.address().port, host: "127.0.0.1", agent },
      (response) => response.resume().on("end", resolve)));
  idle.sort((a, b) => a - b);
  process.stdout.write(JSON.stringify({
    idle_share_lowest: idle[0], idle_share_highest: idle.at(-1), idle_growth_bytes: grown,
    share_of_heap_limit: process.memoryUsage().heapUsed / v8.getHeapStatistics().heap_size_limit,
    requests: atRequest.length, over_90_percent: atRequest.filter((one) => one > 0.9).length,
  }), () => process.exit());
});`;

async function measure(kept, leaked = 0) {
  const args = ["-e", SERVER, String(kept), String(leaked)];
  const { stdout } = await run(process.execPath, args, { timeout: 20_000 });
  return JSON.parse(stdout);
}

const variants = {
  leaky: await measure(0),
  leaky_20_mb: await measure(20),
  leaky_60_mb: await measure(60),
  leaking: await measure(0, 1),
};
const percent = (share) => (100 * share).toFixed(0);
const range = (name) => {
  const shares = [variants[name].idle_share_lowest, variants[name].idle_share_highest];
  return `${[...new Set(shares.map(percent))].join(" to ")} %`;
};
const ofLimit = Math.max(...Object.values(variants).map((one) => one.share_of_heap_limit));
const { leaky } = variants;
// 90 % with Node 20 and 80 % with 24: as high as one that leaks, or higher.
const isHighWithoutLeak = leaky.idle_share_highest > 0.75 && leaky.idle_growth_bytes < 1e6;
report({
  variants,
  row: {
    seed: "002 symptom",
    claim: "87 % of the heap stay used with no active request, because memory leaks",
    condition:
      "the percentage is one of heapTotal (the document does not say), and the server keeps next to " +
      "nothing: then it shows it when idle, without a leak. One that keeps 20 or 60 MB shows less, and one " +
      "that leaks any share, so it tells nothing. Shares above 75 % count (ours): Node 24 shows some 80 %",
    claimed_by: "document",
    origin: "document words",
    fix_origin: "",
    language: "JavaScript",
  },
  outcome: isHighWithoutLeak ? "partly" : "not reproduced",
  summary:
    `of heapTotal an idle server that leaks nothing shows ${range("leaky")}, one that keeps 20 MB ` +
    `${range("leaky_20_mb")}, 60 MB ${range("leaky_60_mb")}, one that leaks ${range("leaking")}; of the ` +
    `heap limit at most ${percent(ofLimit)} %; at ${leaky.over_90_percent} of ${REQUESTS} requests, one ` +
    `at a time, it is above 90 % of heapTotal`,
});
