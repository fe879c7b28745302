# The README's CMake examples; tests/install does both.
# [find_package]
find_package(txm 0.1 REQUIRED COMPONENTS sqlite local dynamodb aws)
target_link_libraries(my_service PRIVATE txm::sqlite txm::local txm::dynamodb txm::aws)
# [/find_package]
# [add_subdirectory]
set(TXM_AWS ON)  # off inside another project: it needs more libraries
add_subdirectory(third_party/txm)
target_link_libraries(my_service PRIVATE txm::sqlite txm::local txm::dynamodb txm::aws)
# [/add_subdirectory]
