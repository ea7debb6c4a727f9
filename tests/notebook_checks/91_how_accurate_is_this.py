"""What the text of the notebook says, checked where it was executed."""

assert parts.sum().tolist() == [168, 163, 164, 163, 472, 15]
assert tools.query("tool == 'psleak'")["hits"].tolist()[:2] == [41, 41]
assert len(_accuracy_rows.misses(rows)) == 2
