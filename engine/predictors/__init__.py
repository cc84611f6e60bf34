"""Predictors: from architectures and what was measured of some to what others would give; `base` is the contract."""
