"""Bags of camera images, replayed: without a ROS graph and without losing an image, or live through one."""
