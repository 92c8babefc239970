"""What the training loop stands on: optimisers, history, activations, checkpoints."""
