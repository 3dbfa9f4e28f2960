"""What fusion gains a segmentation network: one trained on each camera and on fused images."""
