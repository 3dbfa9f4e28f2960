# The node on ROS 2 Jazzy for x86-64, with the OpenVINO engine; an NVIDIA GPU is used where the
# container is given one. Untried: written on a machine without a container engine.
#
#     docker build -f docker/jazzy.Dockerfile -t amg_fuse_ros:jazzy .
#
# See docs/deployment.md for how to run it.
FROM ros:jazzy-ros-base

# A build for CPUs alone is 4 GB smaller: give its index with --build-arg PIP_INDEX_URL.
ARG PIP_INDEX_URL
ARG TORCH="torch>=2.8"

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3-opencv \
        python3-pip \
        python3-rich \
        python3-typer \
        python3-yaml \
        ros-jazzy-cv-bridge \
        ros-jazzy-diagnostic-msgs \
        ros-jazzy-message-filters \
        ros-jazzy-ros2bag \
        ros-jazzy-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

# numpy stays below 2, cv_bridge of Jazzy is built for 1.26; colcon needs setuptools below 80, and
# torch would bring a later one.
RUN pip install --no-cache-dir --break-system-packages \
    "numpy>=1.26,<2" \
    "setuptools<80" \
    "$TORCH" \
    "numba>=0.59" \
    "safetensors>=0.4" \
    "rosbags>=0.11" \
    "rosbags-image>=0.9" \
    "openvino>=2024.4" \
    "onnx>=1.16" \
    "onnxscript>=0.3"

COPY . /tmp/src/amg_fuse_ros
RUN . /opt/ros/jazzy/setup.sh \
    && cd /tmp \
    && colcon build --merge-install --install-base /opt/amg_fuse_ros \
    && install -m 755 src/amg_fuse_ros/docker/entrypoint.sh /entrypoint.sh \
    && rm -rf /tmp/src /tmp/build /tmp/log

# Compiled once here rather than at the first pair of every container.
RUN . /opt/amg_fuse_ros/setup.sh && python3 -m amg_fuse_ros.network.inference.compile

RUN useradd --create-home amg_fuse && install -d -o amg_fuse /var/cache/amg_fuse_ros
USER amg_fuse
ENV AMG_FUSE_CACHE=/var/cache/amg_fuse_ros
VOLUME /var/cache/amg_fuse_ros

ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "amg_fuse_ros", "fusion.launch.py"]
