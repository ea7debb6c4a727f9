// Sockets that stay open in Node when a streamed answer ends badly: 50 requests per case.
//
// `leaky` is the printed reader loop, `proposed` the document's with cancel() and releaseLock(),
// `fixed` (ours) also cancels when the client hangs up. Upstreams that a loop as printed can meet:
// one that ends, one whose connection breaks, and one that goes silent or sends on for 3 s while the
// client hangs up. The document's "processing" is elided, and its fix only writes lines; where it
// fails on a line, as JSON.parse does here (constructed), the upstream is silent or sends 20 MB more
// (`malformed_…`). Claim and fix are judged by the errors, those constructed and a broken connection.
// `at_once` is counted before, `later` after fetch has given up on a silent body: after 300 s by
// default, here after 8 s. Each case has a proxy in a process of its own; upstream and clients are
// here, so that only the proxy's sockets are counted.
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { collect, descriptors, pause, report } from "../_check.mjs";

const REQUESTS = 50;
const BODY_TIMEOUT_MS = 8000;
const CASES = {
  ends: ["leaky"],
  breaks: ["leaky", "proposed"],
  hung_up_silent: ["leaky", "proposed", "fixed"],
  hung_up_sending: ["leaky", "proposed"],
  malformed_silent: ["leaky", "proposed"],
  malformed_large: ["leaky", "proposed"],
};
const SOUND = '{"token": "a"}\n';
const MALFORMED = `${SOUND}{"token": \n`;
const MEGABYTE = Buffer.alloc(1 << 20);

// fetch() has its time-outs from this object, which exists once fetch() was called.
async function impatient(url) {
  await fetch(url);
  const dispatchers = [2, 1].map((n) => globalThis[Symbol.for(`undici.globalDispatcher.${n}`)]);
  const { constructor: Agent } = dispatchers.find((one) => one?.constructor.name === "Agent");
  return new Agent({ bodyTimeout: BODY_TIMEOUT_MS });
}

async function relay(response, url, variant, dispatcher) {
  const reader = (await fetch(url, { dispatcher })).body.getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  if (variant === "fixed") response.on("close", () => reader.cancel().catch(() => {}));
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      buffer += decoder.decode(value, { stream: true });
      const lines = buffer.split("\n");
      buffer = lines.pop() || "";
      for (const line of lines) if (line.trim()) response.write(`${JSON.parse(line).token}\n`);
    }
  } catch {
    if (variant === "proposed" || variant === "fixed") await reader.cancel().catch(() => {});
  } finally {
    if (variant !== "leaky") reader.releaseLock();
  }
  response.end();
}

async function proxy(upstream, variant, kind) {
  const url = `http://127.0.0.1:${upstream}/${kind}`;
  const dispatcher = await impatient(`http://127.0.0.1:${upstream}/`);
  const server = http.createServer((_request, response) => {
    relay(response, url, variant, dispatcher).catch(() => response.end());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const before = descriptors("socket:");
  process.on("message", async () => {
    await collect();
    process.send(descriptors("socket:") - before);
  });
  process.on("disconnect", () => process.exit());
  process.send(server.address().port);
}

function serveUpstream({ url }, response) {
  // Without keep-alive: a socket that stays open is held by its reader and not by a pool.
  response.writeHead(200, { connection: "close" });
  response.on("error", () => {});
  if (url === "/") return response.end();
  response.write(url.startsWith("/malformed") ? MALFORMED : SOUND);
  if (url === "/malformed_large") for (let n = 0; n < 20; n++) response.write(MEGABYTE);
  if (url === "/ends") setTimeout(() => response.end(SOUND), 300);
  if (url === "/breaks") setTimeout(() => response.destroy(), 300);
  if (url === "/hung_up_sending") {
    const sends = setInterval(() => response.write(SOUND), 100);
    setTimeout(() => {
      clearInterval(sends);
      response.end();
    }, 3000);
  }
}

function ask(port, hangsUp) {
  return new Promise((resolve) => {
    const request = http.get({ host: "127.0.0.1", port, agent: false });
    request.on("error", resolve).on("close", resolve);
    request.on("response", (response) => {
      response.on("data", () => hangsUp && request.destroy());
    });
  });
}

async function request(upstream, variant, kind) {
  const child = fork(fileURLToPath(import.meta.url), [upstream, variant, kind]);
  child.on("exit", (code) => code && process.exit(code));
  const [port] = await once(child, "message");
  const hangsUp = kind.startsWith("hung_up");
  await Promise.all(Array.from({ length: REQUESTS }, () => ask(port, hangsUp)));
  return child;
}

async function count(child) {
  child.send("count");
  return (await once(child, "message"))[0];
}

// On a busy machine the last ones close late.
async function settled(child) {
  let last = await count(child);
  for (let tries = 0; tries < 8; tries++) {
    await pause(700);
    const now = await count(child);
    if (now === last) break;
    last = now;
  }
  return last;
}

async function measure() {
  const upstream = http.createServer(serveUpstream);
  await once(upstream.listen(0, "127.0.0.1"), "listening");
  const cases = Object.entries(CASES).flatMap(([kind, names]) => names.map((name) => [name, kind]));
  const { port } = upstream.address();
  const variants = Object.fromEntries(
    await Promise.all(
      cases.map(async ([name, kind]) => {
        const child = await request(port, name, kind);
        await pause(4000); // the one that sends on has ended, and a silent body has time left
        const at_once = await settled(child);
        await pause(BODY_TIMEOUT_MS);
        const later = await settled(child);
        child.kill();
        return [`${name}_${kind}`, { at_once, later }];
      }),
    ),
  );
  const most = (name, kinds) => Math.max(...kinds.map((kind) => variants[`${name}_${kind}`].at_once));
  const hungUp = ["hung_up_silent", "hung_up_sending"];
  const constructed = ["malformed_silent", "malformed_large"];
  const asPrinted = most("leaky", ["ends", "breaks"]);
  report({
    variants,
    outcome: asPrinted ? "reproduced" : most("leaky", constructed) ? "partly" : "not reproduced",
    fix: most("proposed", ["breaks", ...constructed]) ? "insufficient" : "holds",
    readings: { proposed_hung_up: most("proposed", hungUp) ? "insufficient" : "holds" },
    summary:
      `${asPrinted} of ${REQUESTS} sockets stay after streams that end or break. Where a line cannot be ` +
      `parsed ${variants.leaky_malformed_silent.at_once} stay until fetch gives up (300 s by default), ` +
      `with the fix ${variants.proposed_malformed_silent.at_once}; if the upstream sends on ` +
      `${variants.leaky_malformed_large.later} stay after that too, with the fix ` +
      `${variants.proposed_malformed_large.later}. After clients that hang up on a silent upstream ` +
      `${variants.leaky_hung_up_silent.at_once} stay until then, with the fix ` +
      `${variants.proposed_hung_up_silent.at_once}, and ${variants.fixed_hung_up_silent.at_once} where a ` +
      `hang-up cancels the reader`,
  });
}

const [upstream, variant, kind] = process.argv.slice(2);
await (upstream ? proxy(upstream, variant, kind) : measure());
