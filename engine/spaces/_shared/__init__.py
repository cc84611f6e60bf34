"""Parts that several spaces are made with."""
