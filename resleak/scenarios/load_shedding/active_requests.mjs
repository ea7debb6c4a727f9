// The load shedder's counter with Node's own `finish` and `close` events.
//
// A server holds eight requests at once until they are let go one by one; two of them hang up, as
// in the scenario. `leaky` is the printed pair of listeners, `proposed` the document's flag.
import { once } from "node:events";
import http from "node:http";
import { pause, report } from "../_check.mjs";

const ROUNDS = 5;
const CLIENTS = 8;
const LIMIT = 4;

function countOutTwice(shedder, response) {
  response.on("finish", () => {
    shedder.activeRequests--;
  });
  response.on("close", () => {
    if (shedder.activeRequests > 0) shedder.activeRequests--;
  });
}

function countOutOnce(shedder, response) {
  let decremented = false;
  const decrementOnce = () => {
    if (!decremented) {
      decremented = true;
      shedder.activeRequests--;
    }
  };
  response.on("finish", decrementOnce);
  response.on("close", decrementOnce);
}

async function measure(countOut) {
  const shedder = { activeRequests: 0 };
  const counts = { active_at_end: 0, lowest: 0, shed_wrongly: 0, admitted_over_limit: 0 };
  const held = new Set();
  const server = http.createServer((_request, response) => {
    const truth = held.size;
    if (shedder.activeRequests >= LIMIT) {
      counts.shed_wrongly += truth < LIMIT;
      response.writeHead(503).end();
      return;
    }
    counts.admitted_over_limit += truth >= LIMIT;
    shedder.activeRequests++;
    countOut(shedder, response);
    response.on("close", () => {
      held.delete(response);
      counts.lowest = Math.min(counts.lowest, shedder.activeRequests);
    });
    held.add(response);
    response.write("first half");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const ask = async () => {
    const request = http.get({ host: "127.0.0.1", port: server.address().port, agent: false });
    request.on("error", () => {});
    const [response] = await once(request, "response");
    response.on("error", () => {}).resume();
    return response.statusCode === 200 ? request : null;
  };
  for (let round = 0; round < ROUNDS; round++) {
    const admitted = (await Promise.all(Array.from({ length: CLIENTS }, ask))).filter(Boolean);
    for (const request of admitted.filter((_, number) => number % 4 === 0)) request.destroy();
    await pause(50);
    for (const response of [...held]) {
      response.end("second half");
      await once(response, "close");
    }
  }
  counts.active_at_end = shedder.activeRequests;
  server.close();
  return counts;
}

const variants = { leaky: await measure(countOutTwice), proposed: await measure(countOutOnce) };
const { leaky, proposed } = variants;
report({
  variants,
  outcome: !leaky.active_at_end ? "not reproduced" : leaky.shed_wrongly ? "reproduced" : "partly",
  fix: proposed.active_at_end || proposed.shed_wrongly ? "insufficient" : "holds",
  summary:
    `the counter ends at ${leaky.active_at_end}, with the flag at ${proposed.active_at_end}; ` +
    `${leaky.shed_wrongly} requests are refused wrongly, ${leaky.admitted_over_limit} admitted ` +
    `over the limit`,
});
