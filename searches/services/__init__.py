"""All writes: every change of state in one short transaction with its event."""
