"""What the text of the notebook says, checked where it was executed."""

fds = judged.frame.set_index(["gauge", "variant"]).loc["fds"]
assert list(fds.loc[["leaky_error_kept", "fixed"], "per_step"]) == [1, 0]
assert fds.loc["fixed", "detection_limit"] <= 1 / 50

kept = verdicts.frame.set_index(["gauge", "variant"])
assert list(kept.loc["entries"].loc[["leaky", "fixed"], "peak"]) == [3000, 300]
assert abs(kept.loc[("heap", "leaky"), "per_step"] / 1024 - 14) < 2

share = verdicts.variants["leaky"].sites.frame.set_index("function")["share"]["verify"]
assert (kept.loc[("entries", "leaky"), "per_step"] == 10) & (abs(share - 0.64) < 0.1)
assert all(judgement.ok for judgement in (judged, verdicts))
