"""Experiment trackers: views of a run. The numbers that count are in its `metrics.csv` and `metrics.json`."""
