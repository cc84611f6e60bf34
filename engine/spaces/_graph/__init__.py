"""Parts of the space `graph`, whose module beside this folder puts them together."""
