// Sockets that stay open in Node when a streamed answer ends badly: 50 requests per case.
//
// `leaky` is the printed reader loop, `proposed` the document's with cancel() and releaseLock(),
// `fixed` (ours) also cancels when the client hangs up. Upstreams that a loop as printed can meet:
// one that ends, one whose connection breaks, and one that goes silent or sends on while the client
// hangs up. The document's "processing" is elided, and its fix only writes lines; where it
// fails on a line, as JSON.parse does here (constructed), the upstream is silent or sends 20 MB more
// (`malformed_…`). Claim and fix are judged by the errors, those constructed and a broken connection.
// `at_once` is counted with fetch's default, which gives up on a silent body after 300 s. Where some
// stay, `later` is counted by another proxy, once fetch has given up there: after 2 s, on all bodies and
// on a last one that tells. No count depends on how fast the machine is. Each proxy is a process of its
// own; upstream and clients are here, so that only the proxy's sockets are counted.
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { collect, descriptors, pause, report } from "../_check.mjs";

const REQUESTS = 50;
const BODY_TIMEOUT_MS = 2000;
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

// fetch() has its time-outs from this object, which exists once fetch() was called. An aborted request
// leaves an idle connection in the pool, for 4 s by default; it is none that a reader holds.
async function agent(url, options) {
  await fetch(url);
  const dispatchers = [2, 1].map((n) => globalThis[Symbol.for(`undici.globalDispatcher.${n}`)]);
  const { constructor: Agent } = dispatchers.find((one) => one?.constructor.name === "Agent");
  return new Agent({ keepAliveTimeout: 1, ...options });
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

async function proxy(upstream, variant, path, isImpatient) {
  const address = `http://127.0.0.1:${upstream}`;
  let dispatcher;
  const server = http.createServer((_request, response) => {
    relay(response, address + path, variant, dispatcher).catch(() => response.end());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const before = descriptors("socket:");
  dispatcher = await agent(address, isImpatient && { bodyTimeout: BODY_TIMEOUT_MS });
  process.on("message", async (message) => {
    if (message === "give up") await givenUp(`${address}/last`, dispatcher);
    await collect();
    process.send(descriptors("socket:") - before);
  });
  process.on("disconnect", () => process.exit());
  process.send(server.address().port);
}

// Resolves when fetch has given up on a silent body that was begun after all others.
async function givenUp(url, dispatcher) {
  const reader = (await fetch(url, { dispatcher })).body.getReader();
  await reader.read();
  await reader.read().then(
    () => Promise.reject(new Error("the silent body ended")),
    () => {},
  );
}

// What upstream has begun to send, by the path of the request.
const streams = new Map();

function serveUpstream({ url }, response) {
  // Without keep-alive: a socket that stays open is held by its reader and not by a pool.
  response.writeHead(200, { connection: "close" });
  response.on("error", () => {});
  if (url === "/") return response.end();
  response.write(url.startsWith("/malformed") ? MALFORMED : SOUND);
  if (url.startsWith("/malformed_large")) for (let n = 0; n < 20; n++) response.write(MEGABYTE);
  if (url.startsWith("/hung_up_sending")) {
    const sends = setInterval(() => response.writableEnded || response.write(SOUND), 100);
    response.on("close", () => clearInterval(sends));
  }
  streams.set(url, [...(streams.get(url) ?? []), response]);
}

// Two promises: that the answer has begun, and that the connection is closed.
function ask(port, hangsUp) {
  const request = http.get({ host: "127.0.0.1", port, agent: false });
  const over = new Promise((resolve) => request.on("error", resolve).on("close", resolve));
  const begun = new Promise((resolve) => {
    request.on("response", (response) => {
      response.on("data", () => {
        resolve();
        if (hangsUp) request.destroy();
      });
    });
  });
  return { begun: Promise.race([begun, over]), over };
}

async function request(upstream, variant, kind, ...isImpatient) {
  const path = `/${kind}/${variant}/${isImpatient}`;
  const child = fork(fileURLToPath(import.meta.url), [upstream, variant, path, ...isImpatient]);
  child.on("exit", (code) => code && process.exit(code));
  const [port] = await once(child, "message");
  const asked = Array.from({ length: REQUESTS }, () => ask(port, kind.startsWith("hung_up")));
  await Promise.all(asked.map(({ begun }) => begun));
  const begun = streams.get(path);
  if (kind === "ends") for (const stream of begun) stream.end(SOUND);
  if (kind === "breaks") for (const stream of begun) stream.destroy();
  await Promise.all(asked.map(({ over }) => over));
  if (kind === "hung_up_sending") {
    await pause(1000); // ten lines more, that nobody waits for
    for (const stream of begun) stream.end();
  }
  return child;
}

async function count(child, message = "count") {
  child.send(message);
  return (await once(child, "message"))[0];
}

// Each count lets the proxy collect, and both event loops run: what can still close does so meanwhile.
async function settled(child) {
  let last = await count(child);
  for (let same = 0; same < 2; same++) {
    const now = await count(child);
    if (now !== last) same = -1;
    last = now;
  }
  return last;
}

async function counts(upstream, variant, kind) {
  const child = await request(upstream, variant, kind);
  let [at_once, later] = [await settled(child), 0];
  if (at_once) {
    const other = await request(upstream, variant, kind, "impatient");
    await count(other, "give up");
    later = await settled(other);
    at_once = await settled(child); // they are still there
    other.kill();
  }
  child.kill();
  return { at_once, later };
}

async function measure() {
  const upstream = http.createServer(serveUpstream);
  await once(upstream.listen(0, "127.0.0.1"), "listening");
  const cases = Object.entries(CASES).flatMap(([kind, names]) => names.map((name) => [name, kind]));
  const { port } = upstream.address();
  const variants = Object.fromEntries(
    await Promise.all(
      cases.map(async ([name, kind]) => [`${name}_${kind}`, await counts(port, name, kind)]),
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

const [upstream, ...how] = process.argv.slice(2);
await (upstream ? proxy(upstream, ...how) : measure());
