"""What the strategies that learn a policy share: rewards, sequences of tokens, the search itself, the network."""
