"""Parts of the space `nasbench201`, whose module beside this folder puts them together."""
