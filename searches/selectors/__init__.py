"""All reads. Nothing here writes; nothing here is drawn."""
