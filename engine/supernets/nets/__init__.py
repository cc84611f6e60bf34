"""The torch side of weight sharing."""
