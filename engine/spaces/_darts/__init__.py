"""Parts of the space `darts`, whose module beside this folder puts them together."""
