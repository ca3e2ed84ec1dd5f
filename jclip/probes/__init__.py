"""The probes: from images and texts to scores."""
