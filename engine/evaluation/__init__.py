"""How an architecture gets its numbers. `base` is torch-free; each evaluator is one file."""
