"""What the text of the notebook says, checked where it was executed."""

assert every["verdict"].isin(["flat", "plateau"]).sum() == len(every) == 50
assert (len(repeated), repeated["as_declared"].sum()) == (150, 150)
assert all(one.ok for one in judged.values())

told = found.set_index("variant")[["verdict", "low", "high", "detection_limit"]].round(4)
assert told["verdict"].to_list() == ["leak", "leak", "flat"]
assert [*told.loc["1 in 100", ["low", "high"]], told.iloc[2, 3]] == [0.0051, 0.0135, 0.02]
