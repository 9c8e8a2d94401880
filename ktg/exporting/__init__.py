"""What leaves the system: the best graph as a file, its weights, and a model that classifies images."""
