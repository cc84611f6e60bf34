"""Networks of the predictors; they import torch, so predictors import them inside their methods."""
