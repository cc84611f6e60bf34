"""Parts of the space `tree`, whose module beside this folder puts them together."""
