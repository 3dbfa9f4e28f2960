# The node on a Jetson Orin with JetPack 6 (CUDA 12.6, TensorRT 10.3), with the TensorRT engine of
# torch-tensorrt 2.8. JetPack 6 is Ubuntu 22.04, so ROS 2 is Humble. Untried: written on a machine
# without a container engine and without a Jetson.
#
#     docker build -f docker/orin.Dockerfile --build-arg TORCH_INDEX=URL -t amg_fuse_ros:orin .
#
# See docs/deployment.md for the index and for how to run it.
ARG JETPACK=nvcr.io/nvidia/l4t-jetpack:r36.4.0
FROM ros:humble-ros-base-jammy AS ros

FROM ${JETPACK}

# Where ROS packages come from, as the ROS image has it.
COPY --from=ros /etc/apt/sources.list.d/ /etc/apt/sources.list.d/
COPY --from=ros /usr/share/keyrings/ /usr/share/keyrings/
ENV ROS_DISTRO=humble LANG=C.UTF-8

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        python3-colcon-common-extensions \
        python3-libnvinfer \
        python3-pip \
        python3-yaml \
        ros-humble-cv-bridge \
        ros-humble-diagnostic-msgs \
        ros-humble-message-filters \
        ros-humble-ros-base \
        ros-humble-ros2bag \
        ros-humble-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

# The index with NVIDIA's builds for JetPack 6, Python 3.10, aarch64; the usual one has none.
ARG TORCH_INDEX
RUN test -n "$TORCH_INDEX" || { echo "give --build-arg TORCH_INDEX=URL"; exit 1; }
RUN pip3 install --no-cache-dir --index-url "$TORCH_INDEX" "torch==2.8.*" "torch-tensorrt==2.8.*"
RUN pip3 install --no-cache-dir \
    "numpy>=1.26,<2" \
    "setuptools<80" \
    "opencv-python>=4.6,<5" \
    "numba>=0.59" \
    "safetensors>=0.4" \
    "rosbags>=0.11" \
    "rosbags-image>=0.9" \
    "rich>=13" \
    "typer>=0.9"

COPY . /tmp/src/amg_fuse_ros
RUN . /opt/ros/humble/setup.sh \
    && cd /tmp \
    && colcon build --merge-install --install-base /opt/amg_fuse_ros \
    && install -m 755 src/amg_fuse_ros/docker/entrypoint.sh /entrypoint.sh \
    && rm -rf /tmp/src /tmp/build /tmp/log

RUN . /opt/amg_fuse_ros/setup.sh && python3 -m amg_fuse_ros.network.inference.compile

RUN useradd --create-home --groups video amg_fuse \
    && install -d -o amg_fuse /var/cache/amg_fuse_ros
USER amg_fuse
ENV AMG_FUSE_CACHE=/var/cache/amg_fuse_ros
VOLUME /var/cache/amg_fuse_ros

ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "amg_fuse_ros", "fusion.launch.py", "engine:=tensorrt"]
