"""The messages of vision_msgs that the detector publishes, by its documented fields."""

HEADER = "std_msgs/Header header"

VISION_MSGS = {
    "Point2D": ("float64 x", "float64 y"),
    "Pose2D": ("vision_msgs/Point2D position", "float64 theta"),
    "BoundingBox2D": ("vision_msgs/Pose2D center", "float64 size_x", "float64 size_y"),
    "ObjectHypothesis": ("string class_id", "float64 score"),
    "ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis",
        "geometry_msgs/PoseWithCovariance pose",
    ),
    "Detection2D": (
        HEADER,
        "vision_msgs/ObjectHypothesisWithPose[] results",
        "vision_msgs/BoundingBox2D bbox",
        "string id",
    ),
    "Detection2DArray": (HEADER, "vision_msgs/Detection2D[] detections"),
    "VisionClass": ("uint16 class_id", "string class_name"),
    "LabelInfo": (HEADER, "vision_msgs/VisionClass[] class_map", "float32 threshold"),
    "VisionInfo": (
        HEADER,
        "string method",
        "string database_location",
        "int32 database_version",
    ),
}

NEEDED = ("std_msgs", "geometry_msgs", "builtin_interfaces")
