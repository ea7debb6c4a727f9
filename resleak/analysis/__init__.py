"""Tables to numbers to verdicts."""
