"""The network plan: what an architecture is for given data, and all that follows from it."""
