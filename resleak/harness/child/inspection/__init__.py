"""What a measured process tells of itself: who keeps it alive, what it waits for, who holds what.

All of it runs in the measured process, in a run of its own, and needs the standard library alone.
"""
