"""Shows searches: one as an HTML page, several side by side, and how each stands."""
