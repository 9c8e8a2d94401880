"""What a person shows of a search: one HTML page of its own, or several searches side by side."""
