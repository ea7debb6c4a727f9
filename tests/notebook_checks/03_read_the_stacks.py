"""What the text of the notebook says, checked where it was executed."""

first, kept = found.iloc[0], found["bytes_per_step"].sum()
assert (first["function"], first["line"]) == ("verify", 59)

assert 0.6 < first["share"] < 0.68
assert 11_500 < kept < 12_500
assert changed.iloc[0]["low"] > 6000
