"""What the text of the notebook says, checked where it was executed."""

assert list(judged.variants) == captures.variants
assert judged.frame["detection_limit"].notna().any()
assert figures.answer(judged).text
