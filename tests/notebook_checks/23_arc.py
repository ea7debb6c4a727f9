"""What the text of the notebook says, checked where it was executed."""

fds = connections.frame.query("gauge == 'fds'").set_index("variant").round(2)
assert list(fds["verdict"][["leaky", "leaky_error_kept", "fixed"]]) == ["deferred", "leak", "flat"]
assert list(fds["held_between_collections"][["leaky", "proposed_success_only"]]) == [10, 10]

assert fds["origin"]["leaky_error_kept"].endswith(":105 in create_policy")
lines = connections.variants["leaky_error_kept"].sites.frame.set_index("line")["share"]
assert (opened.changes["bytes"].sum(), round(lines[106], 2)) == (120, 0.85)

kept, sites = tokens.frame.set_index(["gauge", "variant"]), tokens.variants["leaky"].sites.frame
assert abs(kept.loc[("heap", "leaky"), "per_step"] / 1024 - 14) < 2
assert abs(sites.set_index("function")["share"]["verify"] - 0.64) < 0.1

spins = [" ".join(turns.variants[f"leaky_{why}_interval"].because) for why in ("zero", "bad")]
assert all("the loop at resleak/scenarios/arc/health_check.py:58" in told for told in spins)
assert (turns.variants["leaky"].limits.frame["worst"].max() < 100) & register["ok"].all()
