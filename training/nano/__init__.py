"""Training of the size ``nano``: clean pairs are the truth, weather is drawn on the fly."""
