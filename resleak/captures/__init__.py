"""What a run leaves: storage, manifest, tables, archive, export."""
