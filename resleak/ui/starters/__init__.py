"""Files that `resleak init` writes: each runs as it is, and is to be changed."""
