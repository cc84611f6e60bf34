"""The training loop: data on the device, one process, one trial."""
