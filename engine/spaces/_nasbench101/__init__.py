"""Parts of the space `nasbench101`, whose module beside this folder puts them together."""
