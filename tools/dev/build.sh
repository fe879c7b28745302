# shellcheck shell=bash
if wants_help "$@"; then
    cat <<END
Usage: ./dev build [PRESET [TARGET…]]

Configures and compiles a preset of CMakePresets.json: $(presets | tr '\n' ' ')
The program is then $build_root/PRESET/bin/txm.
END
    exit 0
fi

preset=${1:-release}
[ $# -eq 0 ] || shift
presets | grep -qx -- "$preset" || die "no preset '$preset'; there are: $(presets | tr '\n' ' ')"
need_for_preset "$preset"
configure "$preset"
compile "$preset" "$@"
say "built $build_root/$preset/bin/txm"
