"""Sections of a comparison, and the files that hold them."""
