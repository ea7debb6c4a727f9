"""Record where a measured process creates descriptors, threads, children and other resources."""
