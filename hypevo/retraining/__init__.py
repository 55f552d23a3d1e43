"""Trainings without a search: one by itself, and the winner against the default with fresh seeds."""
