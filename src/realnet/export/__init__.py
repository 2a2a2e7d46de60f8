"""Export of a trained run: the graph in other programs' formats, compared with PyTorch before anybody relies on it."""
