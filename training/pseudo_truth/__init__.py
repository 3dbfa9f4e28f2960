"""Pseudo ground truth: what the fused image of a clean pair should look like.

There is no true fused image, so a generator stands in for it: any object with a name, a version
and a call. :mod:`training.pseudo_truth.classical` needs no training.
"""

from training.pseudo_truth.cache import CachedPseudoTruth
from training.pseudo_truth.classical import ClassicalPseudoTruth, fuse_classical
from training.pseudo_truth.protocol import FloatImage, PseudoTruth

__all__ = [
    "CachedPseudoTruth",
    "ClassicalPseudoTruth",
    "FloatImage",
    "PseudoTruth",
    "fuse_classical",
]
