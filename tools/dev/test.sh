# shellcheck shell=bash
if wants_help "$@"; then
    cat <<'END'
Usage: ./dev test [--only KIND,…] [--filter REGEX] [--preset NAME,…] [--soak [MINUTES]]

Builds and runs the tests: all of them with g++ (preset test: fault points, at least 500 kills, the installed package),
unit, contract and integration tests again with clang under AddressSanitizer and UndefinedBehaviorSanitizer (clang), unit
and contract tests under ThreadSanitizer (tsan). The last line says how many cases passed and failed, over everything that ran.

  --only      these kinds only: unit, contract, integration, fault, headers, install, examples
  --filter    only tests whose name matches
  --preset    these presets only: test, clang, asan, tsan
  --soak      run the fault tests again and again, for MINUTES or until one fails
END
    exit 0
fi

. tools/dev/servers.sh

only='' filter='' presets=test,clang,tsan soak=''
while [ $# -gt 0 ]; do
    case $1 in
    --only | --filter | --preset)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in --only) only=$2 ;; --filter) filter=$2 ;; --preset) presets=$2 ;; esac
        shift 2
        ;;
    --soak)
        soak=1000000
        shift
        case ${1:-} in [0-9]*) soak=$1 && shift ;; esac
        ;;
    *) die "test: unknown argument '$1'; see ./dev test --help" ;;
    esac
done
[ -z "$soak" ] || { only=fault presets=test; }

passed=0 failed=0 summary=() servers=()

# Whatever happens, the last line is the sum.
finish() {
    local status=$?
    [ $status -eq 0 ] || [ $failed -gt 0 ] || failed=1
    echo
    [ ${#summary[@]} -eq 0 ] || printf '%s\n' "${summary[@]}"
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ] || exit 1
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

kinds_of() { # PRESET: which kinds of test run there
    if [ -n "$only" ]; then
        echo "${only//,/ }"
    elif [ "$1" = test ]; then
        echo unit contract integration fault headers install examples
    elif [ "$1" = tsan ]; then
        echo unit contract
    else
        echo unit contract integration
    fi
}

test_packages_of() { # PRESET
    local kind
    for kind in $(kinds_of "$1"); do
        case $kind in
        headers) echo "${clang_packages[@]}" ;;
        install) echo dpkg-dev file binutils unzip ;;
        examples) echo python3 ;;
        esac
    done
}

# The kinds that run against servers, in any preset.
needs_servers() { # PRESET
    local kind
    for kind in $(kinds_of "$1"); do
        case $kind in contract | integration | fault) return 0 ;; esac
    done
    return 1
}

give_up() { # MESSAGE: a step that could not be done counts as a failure
    failed=$((failed + 1))
    summary+=("$1")
}

run_tests() { # PRESET
    local preset=$1 tree=$build_root/$1 began=$SECONDS kinds select=() expected found=0 p f result here_passed=0 here_failed=0
    kinds=$(kinds_of "$preset")
    select=(-L "^(${kinds// /|})\$")
    [ -z "$filter" ] || select+=(-R "$filter")
    expected=$(ctest --test-dir "$tree" -N "${select[@]}" | sed -n 's/^Total Tests: //p')
    if [ "${expected:-0}" -eq 0 ]; then
        give_up "$preset: no test is called that"
        return
    fi
    rm -rf "$tree/results"
    say "running $expected tests of $preset"
    # Sanitizers want their address space where they expect it.
    local run=()
    if [ "$preset" != test ] && setarch -R true 2>/dev/null; then run=(setarch -R); fi
    progress "$preset" "$tree/results" &
    local heart=$!
    # One more than processors: most tests wait for servers, or for time.
    "${run[@]}" ctest --test-dir "$tree" -j $((jobs + 1)) --timeout 1000000 --output-on-failure "${select[@]}" 2>&1 |
        tee "$build_root/logs/test-$preset.log" |
        grep --line-buffered -vE '^ +Start +[0-9]+:|^Test project|^Internal ctest|^Errors while|^$' || true
    kill $heart 2>/dev/null && wait $heart 2>/dev/null || true

    for result in "$tree"/results/*.result; do
        [ -e "$result" ] || continue
        read -r p f <"$result"
        found=$((found + 1)) here_passed=$((here_passed + p)) here_failed=$((here_failed + f))
        [ "$f" -eq 0 ] || summary+=("failed: $preset $(basename "$result" .result): $f of $((p + f))")
    done
    if [ $found -lt "$expected" ]; then
        here_failed=$((here_failed + expected - found))
        summary+=("failed: $preset: $((expected - found)) tests left no result")
    fi
    passed=$((passed + here_passed)) failed=$((failed + here_failed))
    while read -r line; do summary+=("$preset $line"); done < <(
        for result in "$tree"/results/*.note; do
            [ ! -e "$result" ] || sed "s/^/$(basename "$result" .note): /" "$result" | sort -u
        done
    )
    summary+=("$preset: $here_passed passed, $here_failed failed in $((SECONDS - began)) s")
}

# Says every 30 s how far the tests that are running have come: the last line each of them wrote.
progress() { # PRESET RESULTS
    local log name
    trap 'kill $! 2>/dev/null; exit 0' TERM
    while sleep 30 & wait $! && kill -0 $$ 2>/dev/null; do
        for log in "$2"/*.log; do
            name=${log%.log}
            [ -s "$log" ] && [ ! -e "$name.result" ] || continue
            say "$1 … $(basename "$name"): $(tail -n 1 "$log" | cut -c -90)"
        done
    done
}

mkdir -p "$build_root/logs"
export TXM_SERVERS=$PWD/$build_root/servers
case $build_root in /*) TXM_SERVERS=$build_root/servers ;; esac
for preset in ${presets//,/ }; do
    need_for_preset "$preset"
    # shellcheck disable=SC2046
    need $(test_packages_of "$preset")
    if needs_servers "$preset"; then servers=(dynamodb fauxqs moto); fi
done
# One by one: what can be had is tested.
for server in "${servers[@]}"; do
    (need_servers "$server") || give_up "failed: the server $server cannot be had"
done
for preset in ${presets//,/ }; do
    targets=()
    if [[ " $(kinds_of "$preset") " == *" install "* ]]; then
        # What tests/install packs; built here, where one can see it.
        export TXM_BUILD_ROOT=$build_root
        if ! configure release || ! compile release; then give_up "failed: release does not build"; fi
    fi
    [ -z "$only" ] && [ "$preset" = test ] || for kind in $(kinds_of "$preset"); do targets+=("tests-$kind"); done
    if configure "$preset" && compile "$preset" "${targets[@]}"; then
        run_tests "$preset"
        while [ -n "$soak" ] && [ $failed -eq 0 ] && [ $SECONDS -lt $((soak * 60)) ]; do run_tests "$preset"; done
    else
        give_up "failed: $preset does not build"
    fi
done
