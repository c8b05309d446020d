"""Small sweeps that answer the questions which the sources leave open, and their pages."""
