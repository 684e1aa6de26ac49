"""The trainer: draw crops, learn, validate, keep the best."""
