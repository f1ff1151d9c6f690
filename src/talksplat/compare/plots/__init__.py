"""Plots of a comparison: PNG files, drawn without a display, legible with three groups of runs and with thirty."""
