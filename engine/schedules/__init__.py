"""Schedules (how far a trial goes), one file each; `base` is the contract."""
