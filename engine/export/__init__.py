"""From a trained network to a bundle that runs elsewhere, verified in a fresh process."""
