"""The fault harness: real processes under load, faults, what was seen, and a checker of it."""
