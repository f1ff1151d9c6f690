"""One run over several processes, one for each device: they share every batch, and hold the same avatar at every step."""
