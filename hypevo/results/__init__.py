"""The files and pictures that come out: evolve.csv, hyp files, plots."""
