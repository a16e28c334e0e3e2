"""The geometry of images: as the lens made them, or straightened by image_proc; or the topic's name tells."""

AUTO, DISTORTED, RECTIFIED = "auto", "distorted", "rectified"
