"""What can be repeated, and how a file declares it."""
