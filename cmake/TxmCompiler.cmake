include_guard()

# How txm's own code is compiled. Nothing here reaches a project that uses txm.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

if(TXM_WARNINGS)
  add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # It takes the frames of coroutines for memory from another allocator (GCC bug 109224).
    add_compile_options(-Wno-mismatched-new-delete)
  endif()
endif()

if(TXM_FAULT_POINTS)
  add_compile_definitions(TXM_FAULT_POINTS=1)
endif()

if(TXM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(TXM_CCACHE_PROGRAM ccache)
  if(TXM_CCACHE_PROGRAM)
    # Relative paths let checkouts share one cache; the sloppiness is what precompiled headers need.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
                                    CCACHE_SLOPPINESS=pch_defines,time_macros ${TXM_CCACHE_PROGRAM})
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      add_compile_options(-fpch-preprocess)
    elseif(CMAKE_CXX_COMPILER_ID MATCHES Clang)
      add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
    endif()
  endif()
endif()

# txm_precompile(target <header>…)
#
# Boost.Asio is most of what nearly every file here parses; a target that compiles it once saves a fifth of its build.
function(txm_precompile target)
  if(TXM_PRECOMPILE)
    target_precompile_headers(
      ${target}
      PRIVATE
      <boost/asio/any_io_executor.hpp>
      <boost/asio/awaitable.hpp>
      <boost/asio/co_spawn.hpp>
      <boost/asio/io_context.hpp>
      <boost/asio/steady_timer.hpp>
      <boost/asio/this_coro.hpp>
      <boost/asio/use_awaitable.hpp>
      <algorithm>
      <chrono>
      <functional>
      <map>
      <optional>
      <string>
      <unordered_map>
      <vector>
      ${ARGN})
  endif()
endfunction()
