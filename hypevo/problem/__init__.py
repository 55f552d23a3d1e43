"""What is searched and what for: genes, space, hyp files, fitness, and the settings of a study."""
