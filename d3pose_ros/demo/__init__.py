"""`d3pose demo`: a real clip through a real ROS graph of three processes."""
