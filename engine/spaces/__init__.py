"""Search spaces, one file each; `base` is the contract."""
