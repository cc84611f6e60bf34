"""Parts of the space `recurrent`, whose module beside this folder puts them together."""
