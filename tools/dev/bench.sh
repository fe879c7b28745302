# shellcheck shell=bash
if wants_help "$@"; then
    cat <<'END'
Usage: ./dev bench [WHAT…]

Measures txm against the bare tools in the same run and prints the ratios. Without WHAT, everything.

  build    time a release build from nothing, on two processors and without a compiler cache
  other    names are passed on to bench/run, which lists them; streams fetches DynamoDB Local
END
    exit 0
fi

bench_build() {
    local directory=$build_root/bench-build pin=() began
    command -v taskset >/dev/null && pin=(taskset -c 0,1)
    rm -rf "$directory"
    phase "configuring" "$build_root/logs/bench-build.log" cmake --preset release -B "$directory"
    began=$SECONDS
    phase "building release from nothing on 2 processors" "$build_root/logs/bench-build.log" \
        env CCACHE_DISABLE=1 "${pin[@]}" cmake --build "$directory" -j 2
    echo "release build, 2 processors, no cache: $((SECONDS - began)) s (at most 240)"
    rm -rf "$directory"
    [ $((SECONDS - began)) -le 240 ]
}

. tools/dev/servers.sh
need "${build_packages[@]}"
case ${1:-} in
build)
    bench_build
    ;;
*)
    configure release -DTXM_BENCH=ON -DTXM_AWS=ON -DTXM_DYNAMODB=ON
    compile release txm_program bench
    if [[ " $* " == *" streams "* ]]; then
        need_servers dynamodb
        export TXM_SERVERS=${TXM_SERVERS:-$(readlink -f "$build_root/servers")}
    fi
    export TXM_BIN_DIR=$PWD/$build_root/release/bin
    exec bench/run "$@"
    ;;
esac
