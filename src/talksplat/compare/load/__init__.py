"""Runs as their folders tell them, in groups that differ in nothing but their seed."""
