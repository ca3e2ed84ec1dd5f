"""A rendered world with captions, so that every experiment runs, and means something, anywhere."""
