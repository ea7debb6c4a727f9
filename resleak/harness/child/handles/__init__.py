"""Record where a measured process creates descriptors, threads, children and other resources.

Runs in the measured process, with the standard library alone: `patches` notes the calls that
create, `attribution` their results, `call_stacks` their stacks; `procfs` lists what is open, and
`census` matches the two and writes down what is new and what is closed.
"""
