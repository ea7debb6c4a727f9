"""Exceptions that are kept, with the frames they hold."""

from _beside import beside

errors = []


def leak(step, size):
    try:
        raise ValueError(bytes(size))  # leak
    except ValueError as error:
        errors.append(error)


scenario = beside(leak, natural=780)
