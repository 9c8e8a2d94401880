"""Makes pretrained weights: one-node graphs trained by the engine, whose networks become entries of the zoo."""
