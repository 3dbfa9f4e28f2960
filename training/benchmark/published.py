"""Figures that were published, for orientation: other images than those scored here.

Li et al., "Multi-modality Image Fusion under Adverse Weather: Mask-Guided Feature Restoration and
Interaction" (AMG-Fuse), ECCV 2026, arXiv 2606.26812. Only what is at hand in a source that can be
checked is here: of the paper's tables that is the Tiny row of table 9, and the full size's cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table.

    Attributes:
        name: Method, as the table calls it.
        table: Number of the table.
        scores: Metrics by key; empty where they are not at hand.
        parameters: Their number.
        macs: Of convolutions at 224x224.
        seconds: For one image on the paper's machine (``device``).
        device: What the time was taken on.
    """

    name: str
    table: str
    scores: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    macs: float | None = None
    seconds: float | None = None
    device: str = ""


SOURCE = "AMG-Fuse, ECCV 2026 (arXiv 2606.26812)"

PUBLISHED = (
    PublishedRow(
        "AMG-Fuse Tiny",
        "9",
        {
            "q_mi": 0.371,
            "q_g": 0.385,
            "q_m": 0.542,
            "vif": 0.333,
            "q_cb": 0.478,
            "ssim": 0.389,
            "qabf": 0.497,
        },
        parameters=4_910_000,
        macs=20.972e9,
        seconds=0.0403,
        device="RTX 3090 class GPU",
    ),
    PublishedRow("AMG-Fuse", "9", parameters=59_740_000, macs=242.03e9),
)
