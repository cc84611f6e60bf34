"""Blocks that `torch.nn` lacks, by family. Their source is printed into the exported model.py: see `basic`."""
