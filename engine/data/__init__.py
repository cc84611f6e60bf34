"""Data sets: what they are (`spec`, torch-free) and how they are read."""
