# What every command shares: phases with a clock, Debian packages, presets.
# shellcheck shell=bash

build_root=${TXM_BUILD_ROOT:-build}
jobs=${TXM_JOBS:-$(nproc)}

build_packages=(g++ cmake ninja-build pkgconf libboost1.81-dev libboost-json1.81-dev libsqlite3-dev libcli11-dev
    libspdlog-dev libtomlplusplus-dev prometheus-cpp-dev libcpp-httplib-dev libcurl4-openssl-dev libssl-dev
    zlib1g-dev libpugixml-dev)
test_packages=(libgtest-dev libgmock-dev ccache sqlite3)
clang_packages=(clang-16 libclang-rt-16-dev)

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
die() {
    echo "./dev: $*" >&2
    exit 1
}
wants_help() { [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; }

# phase TITLE LOG COMMAND…: runs it with its output in LOG, showing how far it is; on failure shows what went wrong.
phase() {
    local title=$1 log=$2 began=$SECONDS status=0
    shift 2
    mkdir -p "$(dirname "$log")"
    : >"$log"
    say "$title"
    heartbeat "$title" "$log" &
    local heart=$!
    "$@" >"$log" 2>&1 || status=$?
    kill $heart 2>/dev/null && wait $heart 2>/dev/null || true
    if [ $status -ne 0 ]; then
        say "$title: failed after $((SECONDS - began)) s; the whole log is $log"
        if grep -q '^FAILED:' "$log"; then sed -n '/^FAILED:/,$p' "$log" | head -n 60; else tail -n 40 "$log"; fi
        return $status
    fi
    [ $((SECONDS - began)) -lt 5 ] || say "$title: done in $((SECONDS - began)) s"
}

# Says every 15 s how far ninja or a test is: the last line of the log, cut short.
heartbeat() {
    trap 'kill $! 2>/dev/null; exit 0' TERM
    while sleep 15 & wait $! && kill -0 $$ 2>/dev/null; do
        say "$1 … $(tail -n 1 "$2" 2>/dev/null | cut -c -90)"
    done
}

# need PACKAGE…: installs the Debian packages that are missing.
need() {
    local package missing=()
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        say "This is not Debian: nothing is installed for you; needed, by their Debian 12 names: $*"
        return
    fi
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "not root and no sudo; as root: apt-get install ${missing[*]}"
        root=(sudo)
    fi
    say "installing with apt: ${missing[*]}"
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    phase "apt-get update" "$build_root/logs/apt-update.log" "${apt[@]}" update
    phase "apt-get install" "$build_root/logs/apt-install.log" \
        "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
}

presets() { sed -n 's/.*"name": "\([a-z]*\)", "configurePreset".*/\1/p' CMakePresets.json; }

need_for_preset() { # PRESET: what its compiler and its parts need
    local packages=("${build_packages[@]}")
    [ "$1" = release ] || packages+=("${test_packages[@]}")
    case $1 in clang | tsan) packages+=("${clang_packages[@]}") ;; esac
    need "${packages[@]}"
}

configure() { # PRESET [CMAKE ARGUMENT…]
    local preset=$1
    shift
    phase "configuring $preset" "$build_root/logs/configure-$preset.log" \
        cmake --preset "$preset" -B "$build_root/$preset" "$@"
}

compile() { # PRESET [TARGET…]
    local preset=$1
    shift
    phase "building $preset${*:+: $*}" "$build_root/logs/build-$preset.log" \
        cmake --build "$build_root/$preset" -j "$jobs" ${@:+--target "$@"}
}

sources() { # every C++ file of the project
    local directory directories=()
    for directory in include src tests bench examples; do [ ! -d $directory ] || directories+=($directory); done
    find "${directories[@]}" -type f \( -name '*.hpp' -o -name '*.cpp' \) | LC_ALL=C sort
}
