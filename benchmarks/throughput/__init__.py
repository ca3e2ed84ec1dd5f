"""How fast the shift sweep is: its stages timed in turns, and PyTorch beside it."""
