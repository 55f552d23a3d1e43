"""Trainers that start a program of the user's own; its code is called, never imported."""
