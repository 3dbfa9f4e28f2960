"""Weather, darkness and sensor faults for clean pairs: what the network learns to undo.

Every degradation is a pure function of float32 arrays in [0, 1], a severity in [0, 1] and a
random generator; :func:`degrade` draws a combination. Ranges were set beside AWMM-100k's
published examples so that what those show lies well inside them; ``python -m
training.data.contact_sheet`` draws both next to each other.
"""

from training.data.degradations.compose import DegradationSettings, Degraded, degrade
from training.data.degradations.depth import pseudo_depth
from training.data.degradations.haze import haze
from training.data.degradations.light import low_light, sensor_noise
from training.data.degradations.rain import rain
from training.data.degradations.snow import snow
from training.data.degradations.thermal import (
    thermal_attenuation,
    thermal_blur,
    thermal_contrast,
    thermal_halo,
    thermal_noise,
    thermal_stripes,
)

__all__ = [
    "DegradationSettings",
    "Degraded",
    "degrade",
    "haze",
    "low_light",
    "pseudo_depth",
    "rain",
    "sensor_noise",
    "snow",
    "thermal_attenuation",
    "thermal_blur",
    "thermal_contrast",
    "thermal_halo",
    "thermal_noise",
    "thermal_stripes",
]
