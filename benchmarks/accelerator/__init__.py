"""What a real chip does: the goldens there, how fast everything is, as rows and as Markdown."""
