"""Run a workload in a fresh process, or sample one that runs already; leave captures."""
