include_guard()

find_package(GTest REQUIRED)

# The kinds of test; `ninja tests-unit` builds what the unit tests need.
set(TXM_TEST_KINDS unit contract integration fault headers install examples)
foreach(kind IN LISTS TXM_TEST_KINDS)
  add_custom_target(tests-${kind})
endforeach()

# What is tested is optimised; the tests themselves need not be.
set(TXM_TEST_OPTIONS -O0)

# What nearly every test includes, compiled once for all of them.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tests/precompiled.cpp CONTENT "")
add_library(txm_test_precompiled OBJECT EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/tests/precompiled.cpp)
target_link_libraries(txm_test_precompiled PRIVATE txm::core GTest::gtest GTest::gmock)
target_compile_options(txm_test_precompiled PRIVATE ${TXM_TEST_OPTIONS})
txm_precompile(txm_test_precompiled <gmock/gmock.h> <gtest/gtest.h>)

# txm_test(NAME uuid SOURCES uuid_test.cpp LIBRARIES txm::core LABELS unit)
#
# LABELS are among TXM_TEST_KINDS.
#
# Makes the GoogleTest executable <NAME>_test and one ctest entry for it. TIMEOUT is in seconds (240 when left out);
# SERIAL keeps other tests from running beside it; SHARDS makes that many entries, <NAME>_1 and on, each with its part of
# the cases.
function(txm_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL" "NAME;TIMEOUT;SHARDS" "SOURCES;LIBRARIES;LABELS")
  set(target ${arg_NAME}_test)
  add_executable(${target} ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/tests)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_options(${target} PRIVATE ${TXM_TEST_OPTIONS})
  if(TXM_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM txm_test_precompiled)
  endif()
  target_link_libraries(${target} PRIVATE ${arg_LIBRARIES} GTest::gtest GTest::gmock GTest::gmock_main)
  if(NOT arg_SHARDS)
    txm_add_test(gtest ${arg_NAME} $<TARGET_FILE:${target}>)
    return()
  endif()
  foreach(number RANGE 1 ${arg_SHARDS})
    math(EXPR index "${number} - 1")
    txm_add_test(gtest ${arg_NAME}_${number} $<TARGET_FILE:${target}>)
    set_property(TEST ${arg_NAME}_${number} APPEND PROPERTY ENVIRONMENT GTEST_TOTAL_SHARDS=${arg_SHARDS}
                                                            GTEST_SHARD_INDEX=${index})
  endforeach()
endfunction()

# txm_script_test(NAME install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/run LABELS install DEPENDS txm_program)
#
# A test that is a program of its own. It says how many of its checks passed and failed by writing the two numbers,
# "passed failed", to the file that TXM_RESULT names; a script that wrote nothing has failed.
# DEPENDS are targets that `ninja tests-<label>` builds for it.
function(txm_script_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL" "NAME;TIMEOUT" "COMMAND;LABELS;DEPENDS")
  set(target ${arg_NAME}_test)
  add_custom_target(${target})
  if(arg_DEPENDS)
    add_dependencies(${target} ${arg_DEPENDS})
  endif()
  txm_add_test(script ${arg_NAME} ${arg_COMMAND})
endfunction()

# The common half of both, called in their scope: runs the command through tests/run, which always leaves a result.
macro(txm_add_test kind name)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 240)
  endif()
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/run ${kind} ${name} ${arg_TIMEOUT}
                                ${PROJECT_BINARY_DIR}/results ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" RUN_SERIAL "${arg_SERIAL}"
                                          ENVIRONMENT "TXM_BIN_DIR=${PROJECT_BINARY_DIR}/bin")
  # What may take long begins first, so that nothing waits for it at the end.
  if(NOT arg_SERIAL)
    set_tests_properties(${name} PROPERTIES COST ${arg_TIMEOUT})
  endif()
  foreach(label IN LISTS arg_LABELS)
    add_dependencies(tests-${label} ${target})
  endforeach()
endmacro()
