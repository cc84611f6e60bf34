"""The arena: strategies raced on the same problem with the same budget and seeds. No torch, no Django."""
