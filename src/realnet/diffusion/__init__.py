"""The diffusion model of good images: process, network, and sampling with a strength (Sec. 3.1, App. B)."""
