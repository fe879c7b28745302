# shellcheck shell=bash
if wants_help "$@"; then
    cat <<'END'
Usage: ./dev demo [FILE] [--no-kill] [--limit CENTS]

Replays real purchases through two small services, orders and customers, each with its own SQLite file, joined by two
relays over a local: broker, while all of them are killed -9 and restarted again and again. Then it recomputes every
outcome independently and compares. Without FILE it uses examples/data/cdnow.

  FILE         purchases in the same format; lines end in LF or CR LF
  --no-kill    kill nothing: the plain throughput
  --limit N    every customer's credit limit, in cents (10000)
END
    exit 0
fi

need "${build_packages[@]}"
configure release
compile release txm_program orders customers
export TXM_BIN_DIR=$PWD/$build_root/release/bin
[ "${build_root#/}" = "$build_root" ] || TXM_BIN_DIR=$build_root/release/bin
say "examples/demo/run $*"
exec examples/demo/run "$@"
