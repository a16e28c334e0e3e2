#!/usr/bin/env bash
# Keys and permissions for d3pose_ros' processes, out of config/sros2/d3pose.policy.xml.
#
#   scripts/sros2_keystore.sh ~/d3pose_keys --image /front/image_raw --camera-info /front/camera_info
#
# For a ROS 2 installation whose DDS has security, as those from ROS' own packages have. The ROS wheels from
# PyPI have none: with them nothing here takes effect.
set -euo pipefail

usage() {
  echo "usage: $0 KEYSTORE [--image TOPIC] [--camera-info TOPIC] [--depth TOPIC] [--policy FILE]" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
policy=$here/../config/sros2/d3pose.policy.xml
# Where colcon installs both.
[ -f "$policy" ] || policy=$here/../../share/d3pose_ros/config/sros2/d3pose.policy.xml
keystore= image=/camera/image_raw camera_info=/camera/camera_info depth=/camera/depth/image_raw
while [ $# -gt 0 ]; do
  case $1 in
    --image) image=${2-} ;;
    --camera-info) camera_info=${2-} ;;
    --depth) depth=${2-} ;;
    --policy) policy=${2-} ;;
    -*) usage ;;
    *) [ -z "$keystore" ] || usage; keystore=$1; shift; continue ;;
  esac
  [ $# -ge 2 ] || usage
  shift 2
done
[ -n "$keystore" ] || usage
for topic in "$image" "$camera_info" "$depth"; do
  if ! [[ $topic =~ ^(/[A-Za-z_][A-Za-z0-9_]*)+$ ]]; then
    echo "$0: $topic is no full topic name, such as /camera/image_raw" >&2
    exit 2
  fi
done
if [ ! -f "$policy" ]; then
  echo "$0: no policy at $policy; give one by --policy" >&2
  exit 2
fi
if ! command -v ros2 >/dev/null || ! ros2 security --help >/dev/null 2>&1; then
  echo "$0: \`ros2 security\` is not there. On a ROS 2 installation: sudo apt-get install ros-\$ROS_DISTRO-sros2," >&2
  echo "and source its setup.bash. The ROS wheels from PyPI come without it, and without DDS security." >&2
  exit 1
fi

umask 077 # the keys are for this user alone
mkdir -p "$keystore"
mine=$keystore/d3pose.policy.xml
sed -e "s#>/camera/image_raw\([</]\)#>$image\1#" -e "s#>/camera/camera_info<#>$camera_info<#" \
  -e "s#>/camera/depth/image_raw<#>$depth<#" "$policy" >"$mine"
[ -d "$keystore/enclaves" ] || ros2 security create_keystore "$keystore"
ros2 security generate_artifacts -k "$keystore" -p "$mine"

cat <<END

Keys and permissions are in $keystore. In every terminal, before ros2 run or ros2 launch:

  export ROS_SECURITY_KEYSTORE=$(cd "$keystore" && pwd)
  export ROS_SECURITY_ENABLE=true
  export ROS_SECURITY_STRATEGY=Enforce

and give each process its enclave:

  ros2 run d3pose_ros d3pose_node --ros-args --enclave /d3pose/node
END
