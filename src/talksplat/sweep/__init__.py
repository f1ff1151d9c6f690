"""Sweeps: many runs from one command, each in a process of its own, in a folder that can be gone on with.

A sweep's folder holds `sweep.json` (what was asked for), `configs/JOB.yaml` (each job's settings, as they were when the
sweep began), `status.csv`, and a run folder for each job with `job.log` and `job.json` beside the run's own files.
"""
