"""Pairs of thermal and visible images for training."""
