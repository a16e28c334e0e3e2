"""The ROS 2 adapter of d3pose: messages in, messages out.

The generated message modules (`d3pose_ros.msg`) may lie in another folder than this file: in a source
checkout they are in site-packages or in a colcon install space. Extending the path finds them there.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
