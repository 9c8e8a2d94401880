"""Pretrains networks as graphs of one node, and adds them to the zoo."""
