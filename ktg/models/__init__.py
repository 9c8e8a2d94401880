"""Networks by name and their initial weights. Import from the modules: `names` needs no torch, the others do."""
