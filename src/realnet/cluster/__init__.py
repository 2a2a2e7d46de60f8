"""Work over many machines with Ray (extra ``[ray]``): cells of the lab, generated images, inspections."""
