"""Sweeps: many runs from one command, each in a process of its own, in a folder that can be resumed.

A sweep's folder holds `sweep.json` (the sweep's specification), `configs/JOB.yaml` (each job's settings, as they were when
the sweep began), `status.csv`, and a run folder per job with `job.log` and `job.json` in addition to the run's own files.
"""
