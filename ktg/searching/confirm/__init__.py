"""Trains graphs again on all but the test split, over several seeds, and reads that split once."""
