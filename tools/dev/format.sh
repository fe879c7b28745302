# shellcheck shell=bash
if wants_help "$@"; then
    cat <<'END'
Usage: ./dev format

Rewrites every C++ source and header in the style of .clang-format.
END
    exit 0
fi

need clang-format-16
mapfile -t files < <(sources)
clang-format-16 -i "${files[@]}"
say "formatted ${#files[@]} files"
