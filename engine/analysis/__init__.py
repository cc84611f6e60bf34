"""Statistics over results: exact tests, intervals, importance, genealogy. No torch."""
