"""The results of runs: storage, manifest, tables, archive, export."""
