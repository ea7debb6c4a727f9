// The document's two rollback switches, with its configuration and its manager as printed.
//
// `default` sets nothing, `proposed` sets PROMPT_CACHE_PRUNE_INTERVAL_MS=0 and
// SESSION_CLEANUP_ENABLED=false, and `fixed` (ours) passes the options on and lets 0 be 0.
import { report } from "../_check.mjs";

function parseBool(value, fallback) {
  return value === undefined ? fallback : value === "true";
}

function configuration(env) {
  return {
    pruneIntervalMs: parseInt(env.PROMPT_CACHE_PRUNE_INTERVAL_MS) || 300000,
    sessionCleanup: { enabled: parseBool(env.SESSION_CLEANUP_ENABLED, true) },
  };
}

class PromptCache {
  constructor(options = {}) {
    this.pruneIntervalMs = options.pruneIntervalMs || 300000;
    this.startPruning();
  }
  startPruning() {
    if (this.pruneTimer) return;
    this.pruneTimer = setInterval(() => {}, this.pruneIntervalMs);
    this.pruneTimer.unref();
  }
}

class SessionCleanupManager {
  constructor(options = {}) {
    this.enabled = options.enabled !== false;
    this.intervalMs = options.intervalMs || 3600000;
    this.timer = null;
  }
  start() {
    if (!this.enabled || this.timer) return;
    this.timer = setInterval(() => {}, this.intervalMs);
    this.timer.unref();
  }
}

let instance = null;
function getSessionCleanupManager(options) {
  if (!instance) instance = new SessionCleanupManager(options);
  return instance;
}

function printed(env) {
  instance = null;
  const config = configuration(env);
  const cache = new PromptCache({ pruneIntervalMs: config.pruneIntervalMs });
  const manager = getSessionCleanupManager(); // as integrated in server.js: without options
  manager.start();
  return { prune_interval_ms: cache.pruneIntervalMs, timers: 1 + (manager.timer !== null) };
}

function passedOn(env) {
  instance = null;
  const interval = parseInt(env.PROMPT_CACHE_PRUNE_INTERVAL_MS ?? 300000);
  const timers = interval > 0 ? 1 : 0;
  const manager = getSessionCleanupManager(configuration(env).sessionCleanup);
  manager.start();
  return { prune_interval_ms: interval, timers: timers + (manager.timer !== null) };
}

const switched = { PROMPT_CACHE_PRUNE_INTERVAL_MS: "0", SESSION_CLEANUP_ENABLED: "false" };
const variants = { default: printed({}), proposed: printed(switched), fixed: passedOn(switched) };
const { proposed, fixed } = variants;
report({
  variants,
  row: {
    seed: "002 rollback",
    claim: "two settings turn the background tasks off again",
    condition: 'parseInt("0") || 300000 is 300000, and the manager receives no options',
    claimed_by: "document",
    origin: "",
    fix_origin: "document code",
    language: "JavaScript",
  },
  fix: proposed.timers ? "insufficient" : "holds",
  summary:
    `with both switches off ${proposed.timers} of 2 timers still run, and the cache is pruned ` +
    `every ${proposed.prune_interval_ms / 1000} s; with the options passed on, and 0 read as 0, ${fixed.timers} run`,
});
