"""The form of a search: fields made from the catalog's option models, one value behind them."""
