"""What fusion gains a detector: YOLO on thermal, visible and fused images of the same pairs."""
