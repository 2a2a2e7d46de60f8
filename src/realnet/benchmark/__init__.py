"""Comparisons: the tables of the paper run again on images of one's own."""
