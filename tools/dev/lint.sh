# shellcheck shell=bash
if wants_help "$@"; then
    cat <<'END'
Usage: ./dev lint [--no-tidy]

Checks, without changing anything: the style (clang-format), that includes go one way only (tools/dev/layers), and what
clang-tidy finds in src (--no-tidy leaves that out: it takes minutes).
END
    exit 0
fi

need "${build_packages[@]}" clang-16 clang-format-16 clang-tidy-16
failed=0
mapfile -t files < <(sources)
phase "style of ${#files[@]} files" "$build_root/logs/format.log" \
    clang-format-16 --dry-run -Werror "${files[@]}" || { echo "./dev format puts it right" && failed=1; }
phase "layers" "$build_root/logs/layers.log" tools/dev/layers || failed=1

if [ "${1:-}" != --no-tidy ]; then
    phase "configuring clang-tidy" "$build_root/logs/configure-lint.log" \
        cmake --preset clang -B "$build_root/lint" -DTXM_TESTS=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
    tidy() {
        find src -name '*.cpp' -print0 | xargs -0 -P "$jobs" -n 2 clang-tidy-16 -p "$build_root/lint" --quiet
    }
    phase "clang-tidy" "$build_root/logs/tidy.log" tidy || failed=1
fi
[ $failed -eq 0 ] || die "lint found something"
say "nothing to complain about"
