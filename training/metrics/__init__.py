"""The seven fusion metrics of the paper's tables, as the field's programs compute them.

Every score grows with quality and is symmetric in the two sources. They can be gamed one by one
(a copy of one camera scores high on several), so read all seven together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy.typing as npt

from training.metrics import q_cb, q_g, q_m, q_mi, qabf, ssim, vif
from training.metrics.common import Gray, grey_triple

__all__ = ["METRICS", "Metric", "score"]


@dataclass(frozen=True)
class Metric:
    """One fusion metric: how it is called, how it is printed, where its formula comes from.

    Attributes:
        key: Name in dictionaries, tables and files.
        label: Name for people, as the paper prints it.
        source: Where the formula was published.
        function: Takes thermal, visible and fused luminance (H W, float64, 0..255).
        minimum_side: The smallest height and width that its windows allow, in pixels.
    """

    key: str
    label: str
    source: str
    function: Callable[[Gray, Gray, Gray], float]
    minimum_side: int = 1

    def __call__(
        self,
        thermal: npt.ArrayLike,
        visible: npt.ArrayLike,
        fused: npt.ArrayLike,
        *,
        value_range: float | None = None,
    ) -> float:
        """Compute this metric alone; images and errors as for `score`."""
        return self.function(*grey_triple(thermal, visible, fused, value_range=value_range))


_ALL = (
    Metric("q_mi", "Q_MI", "Hossny et al., Electronics Letters 2008", q_mi.q_mi),
    Metric("q_g", "Q_G", "Xydeas and Petrovic 2000; Liu et al., TPAMI 2012", q_g.q_g),
    Metric("q_m", "Q_M", "Wang and Liu, ICSP 2008", q_m.q_m, q_m.MINIMUM_SIDE),
    Metric("vif", "VIF", "Sheikh and Bovik, IEEE TIP 2006", vif.vif, vif.MINIMUM_SIDE),
    Metric("q_cb", "Q_CB", "Chen and Blum, Image and Vision Computing 2009", q_cb.q_cb),
    Metric("ssim", "SSIM", "Wang et al., IEEE TIP 2004", ssim.ssim, ssim.MINIMUM_SIDE),
    Metric("qabf", "Q^AB/F", "Xydeas and Petrovic, Electronics Letters 2000", qabf.qabf),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.key: metric for metric in _ALL})
"""The metrics by key, in the order of the paper's tables."""


def score(
    thermal: npt.ArrayLike,
    visible: npt.ArrayLike,
    fused: npt.ArrayLike,
    *,
    value_range: float | None = None,
) -> dict[str, float]:
    """Compute all seven metrics for one fused image.

    Args:
        thermal: First source, H W, H W 1 or H W 3 (RGB); uint8, or floating as `value_range` says.
        visible: Second source, likewise.
        fused: The image to judge, likewise; the three may differ in dtype and channels.
        value_range: White level of the floating images among them: 255 (the default) or 1. A
            floating image without a value above 1 is refused unless this is given.

    Returns:
        The scores by key, in the order of `METRICS`; always finite.

    Raises:
        ValueError: The images differ in size, are smaller than 41 pixels on a side, hold NaN or
            infinity or values outside their range, or have another shape or dtype.
    """
    triple = grey_triple(thermal, visible, fused, value_range=value_range)
    return {key: metric.function(*triple) for key, metric in METRICS.items()}
