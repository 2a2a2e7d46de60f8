"""How reliable RealNet is, measured: ``python -m benchmarks.reliability PART``; see ``--help``."""
