"""What the text of the notebook says, checked where it was executed."""

last = leaks.groupby("scenario")["label"].last().str.partition("==")[2].tolist()
assert last == ["3.10.10", "2.0.4", "11.1.2", "3.1.25", "0.21.1", "6.9.0", "1.12.2", "3.44.1"]
assert (result.counts["leak"], result.cells.frame["runs"].sum()) == (28, 144)
