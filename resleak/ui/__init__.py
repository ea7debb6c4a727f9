"""The user interfaces: command line, panel, magics, pytest plugin."""
