// Sockets that stay open in Node when a streamed answer ends badly: 50 requests per case.
//
// `leaky` is the printed reader loop, `proposed` the document's with cancel() and releaseLock(),
// `released` has releaseLock() alone, `fixed` (ours) also cancels when the client hangs up. The
// upstream sends a malformed line and goes silent, or sends 20 MB more, or ends; or it sends a
// whole line and goes silent, and the client hangs up. Each case has a proxy in a process of its
// own; upstream and clients are here, so that only the proxy's sockets are counted.
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { collect, descriptors, pause, report } from "../_check.mjs";

const REQUESTS = 50;
const CASES = {
  silent: ["leaky", "released", "proposed"],
  large: ["leaky", "proposed"],
  small: ["leaky"],
  disconnect: ["leaky", "proposed", "fixed"],
};
const SOUND = '{"token": "a"}\n';
const MALFORMED = `${SOUND}{"token": \n`;
const MEGABYTE = Buffer.alloc(1 << 20);

async function relay(response, url, variant) {
  const reader = (await fetch(url)).body.getReader();
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
  const server = http.createServer((_request, response) => {
    relay(response, `http://127.0.0.1:${upstream}/${kind}`, variant).catch(() => response.end());
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

function serveUpstream(request, response) {
  // Without keep-alive: a socket that stays open is held by its reader and not by a pool.
  response.writeHead(200, { connection: "close" });
  response.on("error", () => {});
  response.write(request.url === "/disconnect" ? SOUND : MALFORMED);
  if (request.url === "/large") for (let n = 0; n < 20; n++) response.write(MEGABYTE);
  if (request.url === "/small") setTimeout(() => response.end("\n"), 300);
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
  const [port] = await once(child, "message");
  await Promise.all(Array.from({ length: REQUESTS }, () => ask(port, kind === "disconnect")));
  return child;
}

async function count(child) {
  child.send("count");
  const [sockets] = await once(child, "message");
  child.kill();
  return { sockets };
}

async function measure() {
  const upstream = http.createServer(serveUpstream);
  await once(upstream.listen(0, "127.0.0.1"), "listening");
  const proxies = {};
  for (const [kind, names] of Object.entries(CASES))
    for (const name of names)
      proxies[`${name}_${kind}`] = await request(upstream.address().port, name, kind);
  await pause(6000); // the client closes an idle socket of its own accord after 4 s
  const variants = {};
  for (const [name, child] of Object.entries(proxies)) variants[name] = await count(child);
  const left = (name) => variants[name].sockets;
  report({
    variants,
    outcome: left("leaky_silent") > 0 ? "reproduced" : "not reproduced",
    fix: left("proposed_silent") || left("proposed_disconnect") ? "insufficient" : "holds",
    summary:
      `after a malformed line ${left("leaky_silent")} of ${REQUESTS} sockets stay open, with ` +
      `cancel() ${left("proposed_silent")}; after the client hangs up ` +
      `${left("leaky_disconnect")}, with the document's fix ${left("proposed_disconnect")}`,
  });
}

const [upstream, variant, kind] = process.argv.slice(2);
await (upstream ? proxy(upstream, variant, kind) : measure());
