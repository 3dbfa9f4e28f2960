"""The training system: run from a checkout on a workstation, never on the vehicle."""
