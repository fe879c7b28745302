include_guard()

# What find_package(txm) reads, and the packages that CPack makes: one tarball with everything, and a Debian package for
# the program and for each component's headers and static library.

include(CMakePackageConfigHelpers)

set(directory ${CMAKE_INSTALL_LIBDIR}/cmake/txm)
configure_package_config_file(cmake/txm-config.cmake.in txm-config.cmake INSTALL_DESTINATION ${directory})
write_basic_package_version_file(txm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/txm-config.cmake ${PROJECT_BINARY_DIR}/txm-config-version.cmake
        DESTINATION ${directory} COMPONENT core-dev)

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

set(CPACK_PACKAGE_VENDOR "the txm authors")
set(CPACK_PACKAGE_CONTACT "the txm authors <txm@example.org>")
set(CPACK_PACKAGE_FILE_NAME txm-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)

set(components program)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME txm)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
    "The program: relay daemon, consumer runner, schema migration, inspection and replay of messages.")

# What a program that links the static libraries needs beside them.
set(core_needs "libboost1.81-dev, libboost-json1.81-dev")
set(sqlite_needs "libsqlite3-dev")
set(local_needs "libsqlite3-dev")
set(aws_needs "libcurl4-openssl-dev, libssl-dev, zlib1g-dev, libpugixml-dev")
set(dynamodb_needs "libssl-dev")

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/txm RENAME copyright COMPONENT program)
get_property(parts GLOBAL PROPERTY TXM_COMPONENTS)
foreach(part IN LISTS parts)
  string(TOUPPER ${part}-DEV PART)
  list(APPEND components ${part}-dev)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libtxm-${part}-dev RENAME copyright
          COMPONENT ${part}-dev)
  set(CPACK_DEBIAN_${PART}_PACKAGE_NAME libtxm-${part}-dev)
  set(CPACK_DEBIAN_${PART}_PACKAGE_SECTION libdevel)
  set(CPACK_DEBIAN_${PART}_PACKAGE_DEPENDS "${${part}_needs}")
  set(CPACK_COMPONENT_${PART}_DESCRIPTION
      "Component ${part} of the library: headers, static library and find_package(txm COMPONENTS ${part}).")
endforeach()
set(CPACK_COMPONENTS_ALL ${components})

include(CPack)

foreach(part IN LISTS parts)
  get_property(requires GLOBAL PROPERTY TXM_COMPONENT_${part}_REQUIRES)
  list(TRANSFORM requires APPEND -dev)
  cpack_add_component(${part}-dev DEPENDS ${requires})
endforeach()
if(TXM_PROGRAM)
  cpack_add_component(program)
endif()
