"""All that runs inside the measured process: standard library, psutil and memray only."""
