"""The training system: run from a checkout on a workstation, never on the vehicle."""

import os

# torch's OpenMP threads spin for milliseconds after each operation, in the way of the threads of
# the compiled loops and of any other program: a step that is alone gets 5 % slower by that, one
# beside another busy process six times. A short spin costs nothing. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
