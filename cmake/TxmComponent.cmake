include_guard()

# txm_component(sqlite REQUIRES core PUBLIC … PRIVATE … FINDS "SQLite3")
#
# Makes the library target txm_<name> (txm::<name>) and its install rules: one component of find_package(txm).
#   REQUIRES  other components of txm; linked publicly and loaded with this one
#   PUBLIC, PRIVATE  targets to link
#   FINDS  arguments of find_package, one string a package, that an installed copy repeats
# Its files are added by txm_sources from the directories that hold them.
function(txm_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "REQUIRES;PUBLIC;PRIVATE;FINDS")
  set(target txm_${name})
  add_library(${target})
  add_library(txm::${name} ALIAS ${target})
  set_target_properties(
    ${target} PROPERTIES EXPORT_NAME ${name} OUTPUT_NAME txm-${name} VERSION ${PROJECT_VERSION}
                         SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  foreach(required IN LISTS arg_REQUIRES)
    target_link_libraries(${target} PUBLIC txm_${required})
  endforeach()

  txm_precompile(${target})

  set_property(GLOBAL APPEND PROPERTY TXM_COMPONENTS ${name})
  set_property(GLOBAL PROPERTY TXM_COMPONENT_${name}_REQUIRES ${arg_REQUIRES})
  if(TXM_INSTALL)
    txm_install_component(${name} REQUIRES ${arg_REQUIRES} FINDS ${arg_FINDS})
  endif()
endfunction()

# txm_sources(core SOURCES uuid.cpp HEADERS uuid.hpp)
#
# SOURCES are files of the calling directory, HEADERS are public headers below include/txm.
function(txm_sources component)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS")
  list(TRANSFORM arg_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/include/txm/)
  target_sources(txm_${component} PRIVATE ${arg_SOURCES} PUBLIC FILE_SET HEADERS FILES ${arg_HEADERS})
endfunction()

function(txm_install_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "REQUIRES;FINDS")
  set(directory ${CMAKE_INSTALL_LIBDIR}/cmake/txm)
  install(
    TARGETS txm_${name}
    EXPORT txm-${name}-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${name} NAMELINK_COMPONENT ${name}-dev
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${name}-dev
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT ${name}-dev)
  install(EXPORT txm-${name}-targets NAMESPACE txm:: DESTINATION ${directory} COMPONENT ${name}-dev)

  set(content "set(_txm_${name}_requires ${arg_REQUIRES})\n")
  foreach(package IN LISTS arg_FINDS)
    string(APPEND content "find_dependency(${package})\n")
  endforeach()
  set(file ${PROJECT_BINARY_DIR}/txm-${name}-dependencies.cmake)
  file(CONFIGURE OUTPUT ${file} CONTENT "${content}" @ONLY)
  install(FILES ${file} DESTINATION ${directory} COMPONENT ${name}-dev)
endfunction()
