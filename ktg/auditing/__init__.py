"""Looks for dirt in labelled images: twins, leaks between splits, strangers, doubtful labels."""
