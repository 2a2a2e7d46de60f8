"""Peers: the methods of anomalib, fitted to the same images at the same resolution, and judged by our metrics."""
