// Idle keep-alive sockets of an http.Agent: bounded while it is shared, kept for good if dropped.
//
// `leaky`, as the document describes it: one agent for the life of the process, 40 bursts of four
// requests. `proposed` calls its destroy() at the end. `leaky_agent_per_burst` (ours) drops an agent
// after each of 20 bursts of one request: in Node, unlike in Python, no collection closes its socket.
// Its server never closes an idle connection; `…_server_default` has Node's own, which do after 5 s.
// The servers are in a process of their own, so that only the agents' sockets are counted.
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { collect, descriptors, pause, report } from "../_check.mjs";

async function serve(options) {
  const answer = (_request, response) => response.end("x".repeat(1000));
  const server = http.createServer(options, answer);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server.address().port;
}

function get(port, agent) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port, agent }, (response) =>
      response.resume().on("end", resolve),
    );
    request.on("error", reject);
  });
}

const newAgent = () => new http.Agent({ keepAlive: true, maxFreeSockets: 20 });
const sockets = () => descriptors("socket:");

async function bursts(port, count, size, agentOf) {
  for (let burst = 0; burst < count; burst++) {
    const agent = agentOf();
    await Promise.all(Array.from({ length: size }, () => get(port, agent)));
  }
  await pause(100); // the sockets of the last burst become idle
  await collect();
}

async function measure(port, portOfDefault) {
  const before = sockets();
  const shared = newAgent();
  await bursts(port, 10, 4, () => shared);
  const first = sockets() - before;
  await bursts(port, 30, 4, () => shared);
  const leaky = { sockets_after_10_bursts: first, sockets_after_40_bursts: sockets() - before };
  shared.destroy();
  await pause(100);
  const proposed = { sockets: sockets() - before };
  await bursts(port, 20, 1, newAgent);
  const leaky_agent_per_burst = { sockets: sockets() - before };
  await bursts(portOfDefault, 20, 1, newAgent);
  await pause(8000);
  const both = sockets() - before;
  const leaky_agent_per_burst_server_default = { sockets: both - leaky_agent_per_burst.sockets };
  const grows = leaky.sockets_after_40_bursts > leaky.sockets_after_10_bursts;
  report({
    variants: { leaky, proposed, leaky_agent_per_burst, leaky_agent_per_burst_server_default },
    outcome: grows ? "reproduced" : first ? "partly" : "not reproduced",
    fix: proposed.sockets ? "insufficient" : "holds",
    summary:
      `${first} idle sockets stay after 10 bursts and ${leaky.sockets_after_40_bursts} after 40, ` +
      `${proposed.sockets} after destroy(); of 20 agents dropped without it ` +
      `${leaky_agent_per_burst.sockets} sockets stay open, also after five collections, and ` +
      `${leaky_agent_per_burst_server_default.sockets} after 8 s where the server closes idle ones after 5 s`,
  });
}

if (process.argv[2] === "serve") {
  process.on("disconnect", () => process.exit());
  process.send([await serve({ keepAliveTimeout: 0 }), await serve({})]);
} else {
  const server = fork(fileURLToPath(import.meta.url), ["serve"], { execArgv: [] });
  const [ports] = await once(server, "message");
  process.on("exit", () => server.kill());
  await measure(...ports);
}
