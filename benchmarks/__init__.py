"""Benchmarks: figures, not tests. `python -m benchmarks` lists them, `python -m benchmarks NAME...` runs some.

Each module here has a docstring (its first line is shown in the list) and `main(argv) -> list[dict]`: it prints what it
measures as a table and returns the same rows. Results worth keeping are written into RESULTS.md by hand, with date,
machine and command.
"""
