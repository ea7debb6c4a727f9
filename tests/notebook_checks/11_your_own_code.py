"""What the text of the notebook says, checked where it was executed."""

rows, of_watch = fixed.frame.set_index("gauge"), seen.frame.set_index("gauge")
fds, rss, heap = of_watch.loc["fds"], of_watch.loc["rss"], rows.loc["heap"]
site = judged.variants["workload"].sites[0]

assert list(of_watch.loc[["fds", "rss", "threads"], "verdict"]) == ["leak", "leak", "flat"]
assert [round(fds[end], 1) for end in ("per_step", "low", "high")] == [20.1, 20.0, 20.3]
assert (round(rss["per_step"] / 1024, 1), 1024 / fds["low"] < 60) == (90.8, True)

assert judged.frame.set_index("gauge").loc["fds", "origin"].startswith("before.py:19 in render")
assert (site.line, round(site.share, 3), rows.loc["fds", "margin"] < 0.0084) == (19, 0.958, 1)
assert (round(heap["before"] / 1024, 2), heap["certificate"], heap["margin"]) == (4.54, "fixed", 8)
