from pathlib import Path

from setuptools import find_packages, setup

NAME = "amg_fuse_ros"
HERE = Path(__file__).resolve().parent
VERSION = (HERE / NAME / "__init__.py").read_text("utf-8").split('__version__ = "')[1].split('"')[0]

# Real ROS 2 from Python wheels, for machines without a ROS installation; where ROS comes from
# the distribution's packages this extra is not wanted.
ROS_WHEELS = [
    f"ros-jazzy-{name}"
    for name in (
        "rclpy",
        "rmw-fastrtps-cpp",
        "sensor-msgs",
        "std-msgs",
        "geometry-msgs",
        "diagnostic-msgs",
        "visualization-msgs",
        "lifecycle-msgs",
        "rosgraph-msgs",
        "std-srvs",
    )
]


def files(folder: str, pattern: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).glob(pattern) if path.is_file())


setup(
    name=NAME,
    version=VERSION,
    description="Thermal and visible image fusion in adverse weather for ROS 2 (AMG-Fuse)",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="amg_fuse_ros maintainers",
    maintainer_email="maintainers@users.noreply.github.com",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "weights/*.safetensors", "weights/*.onnx", "weights/*.md"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch", "*.launch.py")),
        (f"share/{NAME}/config", files("config", "*")),
        (f"share/{NAME}/config/sros2", files("config/sros2", "*")),
        (f"share/{NAME}/deploy", files("deploy", "*")),
    ],
    install_requires=[
        "setuptools",
        "numpy>=1.26",
        "opencv-python>=4.6,<5",
        "torch>=2.8",
        "numba>=0.59",
        "safetensors>=0.4",
        "rosbags>=0.11",
        "rosbags-image>=0.9",
        "typer>=0.9",
        "rich>=13",
        "PyYAML>=6",
    ],
    extras_require={
        "ros": ROS_WHEELS,
        # Each engine of these names needs its extra; `dev` has those that run on any CPU.
        "openvino": ["openvino>=2024.4", "onnx>=1.16", "onnxscript>=0.3"],
        "onnx": ["onnxruntime>=1.18", "onnx>=1.16", "onnxscript>=0.3"],
        "tensorrt": ["torch-tensorrt>=2.8", "tensorrt>=10.3"],
        "train": [
            "lightning-fabric>=2.4",
            "tensorboard>=2.16",
            "scipy>=1.11",
            "matplotlib>=3.8",
            "Jinja2>=3.1",
            "torchvision>=0.20",
        ],
        "ray": ["ray>=2.40"],
        # YOLO, under AGPL-3.0; `lap` is what its ByteTrack needs. About 220 MB installed.
        "detect": ["ultralytics>=8.4", "lap>=0.5.12"],
        # Recordings and live views for the Rerun viewer: about 700 MB installed.
        "view": ["rerun-sdk>=0.26"],
        "dev": [
            "pytest>=8.2,<9",
            "pytest-rerunfailures>=14",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "scipy>=1.11",
            "mypy>=1.11",
            "ruff>=0.6",
            "pre-commit>=3.7",
            "types-PyYAML",
            "colcon-common-extensions",
            "jsonschema>=4.18",
            "setuptools<80",  # colcon installs by setup.py, which later ones refuse
        ],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "amg-fuse = amg_fuse_ros.cli:main",
            "fusion_node = amg_fuse_ros.ros.executables:fusion_node",
            "detector_node = amg_fuse_ros.ros.executables:detector_node",
            "fusion_detector = amg_fuse_ros.ros.executables:fusion_detector",
            "fusion_container = amg_fuse_ros.ros.executables:fusion_container",
            "bag_player = amg_fuse_ros.ros.bag_player:main",
            "viewer_node = amg_fuse_ros.ros.viewer_node:main",
        ],
    },
)
