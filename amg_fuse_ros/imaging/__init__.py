"""Sensor images to network arrays and back, with numpy and OpenCV only."""
