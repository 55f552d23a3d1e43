"""Optuna's side of a study: its storage, who may drive it, the sampler, what is read from it and written out of it."""
