"""Work over many machines with Ray (extra ``[ray]``): jobs of a benchmark, generated images, inspections."""
