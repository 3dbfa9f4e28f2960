"""Settings of what comes from the cameras: where they stand, thermal gain, transport."""

from amg_fuse_ros.imaging.thermal import GAINS, POLARITIES
from amg_fuse_ros.setting import Setting

CAMERA_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "registration",
        "",
        "Calibration file of the rig (amg-fuse calibrate); empty takes both cameras for one view, "
        "unless calibration.* has it from topics and TF.",
    ),
    Setting(
        "calibration.intrinsics",
        "file",
        "Where lenses and sensors are described. file: in the file that registration names; "
        "topics: in the CameraInfo messages of both cameras.",
        choices=("file", "topics"),
    ),
    Setting(
        "calibration.extrinsics",
        "file",
        "Where it is said how the cameras stand to each other. file: in the file that registration "
        "names; tf: by the transforms on /tf and /tf_static.",
        choices=("file", "tf"),
    ),
    Setting(
        "calibration.distance_m",
        0.0,
        "Metres from the RGB camera at which the images of two calibrated cameras agree; 0 takes "
        "the file's, or 30 without one.",
        minimum=0.0,
        maximum=100_000.0,
        live=True,
    ),
    Setting(
        "calibration.thermal_frame",
        "",
        "TF frame of the thermal camera (optical); empty takes the frame_id of its images.",
    ),
    Setting(
        "calibration.rgb_frame",
        "",
        "TF frame of the RGB camera (optical); empty takes the frame_id of its images.",
    ),
    Setting(
        "calibration.rectified",
        "none",
        "Cameras whose images come rectified (image_rect): of their CameraInfo, p and r hold "
        "instead of k and d.",
        choices=("none", "thermal", "rgb", "both"),
    ),
    Setting(
        "thermal.gain",
        "percentile",
        "How 16-bit counts are mapped. percentile: the window between two percentiles; equalize: "
        "that window with more contrast where most pixels are; range: fixed temperatures.",
        choices=GAINS,
        live=True,
    ),
    Setting(
        "thermal.low_percentile",
        0.5,
        "Percentile of the counts that becomes black.",
        minimum=0.0,
        maximum=50.0,
        live=True,
    ),
    Setting(
        "thermal.high_percentile",
        99.5,
        "Percentile of the counts that becomes white.",
        minimum=50.0,
        maximum=100.0,
        live=True,
    ),
    Setting(
        "thermal.range_low_c",
        -10.0,
        "Degrees Celsius that become black with the gain range (radiometric cameras).",
        minimum=-273.0,
        maximum=3000.0,
        live=True,
    ),
    Setting(
        "thermal.range_high_c",
        50.0,
        "Degrees Celsius that become white with the gain range.",
        minimum=-273.0,
        maximum=3000.0,
        live=True,
    ),
    Setting(
        "thermal.counts_per_kelvin",
        100.0,
        "Counts per kelvin of a radiometric camera: 100 for centikelvin, 25 for 0.04 K.",
        minimum=0.1,
        maximum=1000.0,
        live=True,
    ),
    Setting(
        "thermal.polarity",
        "white_hot",
        "black_hot turns the thermal image over, so that hot is bright, as the network knows it.",
        choices=POLARITIES,
        live=True,
    ),
    Setting(
        "thermal.adaptation",
        0.02,
        "Largest move of the window's ends from a frame to the next, in widths of the window; "
        "small is steady, 1 takes each frame by itself.",
        minimum=0.001,
        maximum=1.0,
        live=True,
    ),
    Setting(
        "thermal.repair_pixels",
        True,
        "Replace dead pixels of the thermal camera by the median of their neighbours.",
        live=True,
    ),
    Setting(
        "transport.thermal",
        "raw",
        "How the thermal images come: raw, or compressed (PNG or JPEG) on the topic's /compressed.",
        choices=("raw", "compressed"),
    ),
    Setting(
        "transport.rgb",
        "raw",
        "How the RGB images come: raw, or compressed on the topic's /compressed.",
        choices=("raw", "compressed"),
    ),
    Setting(
        "transport.output",
        "raw",
        "How fused image and mask are published: raw, compressed (JPEG and PNG), or both.",
        choices=("raw", "compressed", "both"),
    ),
    Setting(
        "transport.jpeg_quality",
        90,
        "Quality of the compressed fused image.",
        minimum=1,
        maximum=100,
        live=True,
    ),
)
"""A part of the table in `amg_fuse_ros.settings`."""
