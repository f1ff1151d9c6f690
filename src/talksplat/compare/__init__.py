"""Compares finished runs by what they wrote: `metrics.json`, `run_info.json`, `config.yaml`, `test/render.mp4`."""
