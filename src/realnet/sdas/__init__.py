"""SDAS as work to be done: training a diffusion model, judging it, making anomaly images (SIA) with it."""
