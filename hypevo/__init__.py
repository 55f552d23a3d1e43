"""Hyperparameter evolution for object detectors."""
