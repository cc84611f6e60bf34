"""Parts of the space `custom`, whose module beside this folder puts them together."""
