"""``python -m amg_fuse_ros.cli``."""

from amg_fuse_ros.cli import main

if __name__ == "__main__":
    main()
