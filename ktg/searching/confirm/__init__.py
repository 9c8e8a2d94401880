"""Trains the best graphs of a search again, over several seeds, and reads the test split once."""
