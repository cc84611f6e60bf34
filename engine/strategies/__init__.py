"""Strategies (what to try next), one file each; `base` is the contract."""
