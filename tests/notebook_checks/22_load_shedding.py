"""What the text of the notebook says, checked where it was executed."""

worst, node = active.variants["leaky"].limits.frame["worst"], register.set_index("seed")["node"]
assert (worst.min() < 0, active.claim["measured"]) == (True, "partly")
assert "20 MB 41 %, 60 MB 62 to 73 %" in node["002 symptom"]
assert ["shows 90 %" in node["002 symptom"], "upstream 50 stay" in node["002#2"]] == [True, True]

sockets = streams.frame.set_index(["variant", "gauge"]).loc[("leaky_refused", "sockets")]
assert (sockets["verdict"], sockets["per_step"].round(2)) == ("leak", 2)
assert list(register["outcome"]).count("partly") == 7

fixes = [one.claim["fix"]["measured"] for one in (sessions, stops)]
assert (fixes, register["ok"].all()) == (["holds", "holds"], True)
assert stops.variants["proposed_keeps_sessions"].verdict == "deferred"
assert "Connection → _lru_cache_wrapper" in " ".join(stops.variants["leaky"].because)
held = stops.variants["leaky_timer"].culprits.retention["path"]
assert held.str.startswith("self of Store._prune in thread").any()
