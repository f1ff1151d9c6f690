"""Plots, pictures and the video of a comparison."""
