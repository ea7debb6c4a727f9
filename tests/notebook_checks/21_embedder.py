"""What the text of the notebook says, checked where it was executed."""

rates, whole = kept.frame.set_index(["variant", "gauge"])["per_step"], "leaky_model_and_store_only"
assert [round(rates["leaky", gauge], 2) for gauge in ("fds", "threads")] == [1, 2]
assert kept.variants[whole].verdict in ("flat", "plateau")

alive = pool.frame.query("gauge == 'alive'").set_index("variant").at_end
forced = worker.variants["proposed_forced_exit"].limits.frame.set_index("gauge")["worst"]
assert (alive["proposed"], alive["proposed_at_once"], forced["rows_lost"]) == (1, 5, 50)

outcomes, fixes = (list(register[column]) for column in ("outcome", "fix"))
assert (outcomes.count("reproduced"), fixes.count("holds"), register["ok"].all()) == (3, 6, True)
assert (outcomes.count("partly"), list(register["origin"]).count("constructed")) == (4, 3)
refused = "refuses 0 of 40 jobs that keep 10 MB as a typed array, 0 as WebAssembly memory"
assert refused in register.set_index("seed")["node"]["001 priority 3"]
