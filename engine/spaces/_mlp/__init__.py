"""Parts of the space `mlp`, whose module beside this folder puts them together."""
