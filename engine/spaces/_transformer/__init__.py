"""Parts of the space `transformer`, whose module beside this folder puts them together."""
