"""What the text of the notebook says, checked where it was executed."""

kept = writes.frame.set_index(["variant", "gauge"])["per_step"]
assert kept["leaky_oversize", "fds"].round(2) == 1
assert (kept["proposed_oversize", "fds"].round(2), kept["fixed", "fds"].round(2)) == (1, 0)

fds, left = (one.frame.set_index(["gauge", "variant"]) for one in (last_lines, abort))
found = fds.loc["fds"].loc[["leaky", "leaky_error_kept", "leaky_few_ids"], "verdict"]
assert list(found) == ["flat", "leak", "plateau"]

counts = register[register["claimed_by"] == "document"].value_counts(["outcome", "fix"]).to_dict()
assert [counts["reproduced", "holds"], counts["partly", "holds"]] == [2, 2]
assert [left.loc[(name, "leaky"), "per_step"].round(2) for name in ("files_left", "fds")] == [1, 0]
