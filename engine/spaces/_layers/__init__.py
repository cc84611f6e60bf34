"""Parts of the space `layers`, whose module beside this folder puts them together."""
