"""Density control: strategies that add and remove Gaussians while a stage trains."""
