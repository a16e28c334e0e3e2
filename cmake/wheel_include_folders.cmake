# The PyPI wheels export include folders of the machine that built them, and CMake refuses a target whose
# include folder does not exist. On a ROS 2 installation every folder exists and nothing is dropped.
function(d3pose_filter_include_folders target)
  get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT folders)
    return()
  endif()
  set(kept "")
  foreach(folder IN LISTS folders)
    string(FIND "${folder}" "${D3POSE_CHECKOUT}/" position)
    if(position EQUAL 0)
      # numpy's headers in a `.venv` inside the checkout: CMake exports no path of the source tree.
      list(APPEND kept "$<BUILD_INTERFACE:${folder}>")
    elseif(folder MATCHES "\\$<" OR EXISTS "${folder}")
      list(APPEND kept "${folder}")
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
endfunction()

# After rosidl_generate_interfaces().
get_filename_component(D3POSE_CHECKOUT "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
get_property(imported_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS imported_targets ITEMS ${PROJECT_NAME}__rosidl_generator_py)
  d3pose_filter_include_folders(${target})
endforeach()
