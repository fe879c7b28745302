# The README's CMake examples; tests/install does both.
# [find_package]
find_package(txm 0.1 REQUIRED COMPONENTS sqlite local)
target_link_libraries(my_service PRIVATE txm::sqlite txm::local)
# [/find_package]
# [add_subdirectory]
add_subdirectory(third_party/txm)
target_link_libraries(my_service PRIVATE txm::sqlite txm::local)
# [/add_subdirectory]
