"""What the text of the notebook says, checked where it was executed."""

heap, fds = (frame.set_index("gauge") for frame in (changed.frame, proposed.frame))
assert abs(heap.loc["heap", "before"] / 1024 - 13.7) < 0.2
assert (heap.loc["heap", "certificate"], round(heap.loc["heap", "bound"], 2)) == ("fixed", 3.73)

assert fds.loc["fds", ["before", "after", "lower"]].to_list() == [1, 1, False]
assert heap.loc["fds", ["verdict_before", "verdict_after"]].to_list() == ["flat", "flat"]
assert abs(lines.set_index("function").loc["verify", "change"].min() / -1024 - 7.4) < 0.3
