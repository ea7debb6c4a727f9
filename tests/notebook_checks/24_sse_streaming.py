"""What the text of the notebook says, checked where it was executed."""

rates = events.frame.set_index(["variant", "gauge"])["per_step"]
assert rates["leaky", "queue_length"].round(2) == 40
assert events.variants["proposed"].limits.frame["worst"].max() == 10_000

assert closed.claim["fix"]["measured"] == "harmful"
assert clients.variants["leaky"].scaling[0].low > 0.5
assert clients.variants["fixed"].scaling[0].high < 0.3

assert (list(register["fix"]).count("harmful"), register["ok"].all()) == (2, True)
held = events.variants["leaky"].culprits.retention["path"]
assert held.str.startswith("set-up → Stream.slow → Queue._queue → deque").all()
