"""Parts of the space `mobile`, whose module beside this folder puts them together."""
