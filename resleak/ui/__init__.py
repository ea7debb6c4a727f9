"""What people touch: command line, panel, magics, pytest plugin."""
