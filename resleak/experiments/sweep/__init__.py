"""Sweeps: many scenarios, versions, parameters and seeds, on the slots of one or many machines."""
