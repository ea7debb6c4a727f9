"""What the text of the notebook says, checked where it was executed."""

kept = judged.frame.set_index(["gauge", "variant"])
assert list(kept.loc["entries"].loc[["leaky", "fixed"], "per_step"]) == [10, 0]
assert list(kept.loc["entries"].loc[["leaky", "fixed"], "verdict"]) == ["leak", "plateau"]

assert kept.loc[("entries", "fixed"), "at_end"] == 300
assert round(1 / kept.loc[("entries", "fixed"), "detection_limit"]) == 120
assert run.query("phase == 'warmup'")["step"].max() == 60

fds = waiting.frame.set_index("gauge").loc["fds"]
assert fds["verdict"] == "deferred"
assert (fds["held_between_collections"], fds["at_end"]) == (10, 8)
