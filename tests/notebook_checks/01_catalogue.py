"""What the text of the notebook says, checked where it was executed."""

claims = register[(register["claim"] != "") & (register["claimed_by"] == "document")]
holds, node = claims[claims["fix"] == "holds"]["system"], claims.set_index("seed")["node"]
assert [sum(holds == one) for one in ("pl_drivers", "embedder", "arc")] == [5, 6, 23]

outcomes, fixes = (claims[column].value_counts().drop("") for column in ("outcome", "fix"))
assert [*outcomes, *fixes, register["ok"].all()] == [24, 18, 7, 43, 3, 2, True]
assert ["shows 90 %" in node["002 symptom"], "upstream 50 stay" in node["002#2"]] == [True, True]
assert "20 MB 41 %, 60 MB 62 to 73 %" in node["002 symptom"]
