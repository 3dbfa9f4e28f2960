"""The restorer R of the TDAS loss: what is left to restore in a fused image is left to learn.

Two kinds: the published one (:class:`Restorer`, for the authors' weights) and one that can be
trained here (:class:`SmallRestorer`, ``python -m training.restorer fit``).
"""

from training.restorer.published import Restorer
from training.restorer.small import SmallRestorer
from training.restorer.weights import load_restorer

__all__ = ["Restorer", "SmallRestorer", "load_restorer"]
