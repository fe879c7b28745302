# shellcheck shell=bash
. tools/dev/servers.sh
if wants_help "${@: -1}"; then
    cat <<'END'
Usage: ./dev demo [FILE] [--no-kill] [--limit CENTS] [--store sqlite|dynamodb] [--broker local|sns]

Replays real purchases through two small services, orders and customers, each with its own store, joined by two relays
over a broker, while all of them are killed -9 and restarted again and again. Then it recomputes every outcome
independently and compares. Without FILE it uses examples/data/cdnow.

  FILE         purchases in the same format; lines end in LF or CR LF
  --no-kill    kill nothing: the plain throughput
  --limit N    every customer's credit limit, in cents (10000)
  --store S, --broker B
               sqlite and local (the default): two files, and a third for the broker
               dynamodb and sns: DynamoDB, and FIFO topics of SNS with queues of SQS, on servers that it starts here
               (DynamoDB Local and fauxqs; they are fetched once, and need Java and Node)
END
    exit 0
fi

need "${build_packages[@]}"
programs=(txm_program orders customers)
case " $* " in
*' --store dynamodb '* | *' --store=dynamodb '* | *' --broker sns '* | *' --broker=sns '*)
    need curl
    need_servers dynamodb fauxqs
    export TXM_SERVERS=${TXM_SERVERS:-$(readlink -f "$build_root/servers")}
    programs+=(orders_dynamodb customers_dynamodb)
    ;;
esac
configure release
compile release "${programs[@]}"
export TXM_BIN_DIR=$PWD/$build_root/release/bin
[ "${build_root#/}" = "$build_root" ] || TXM_BIN_DIR=$build_root/release/bin
say "examples/demo/run $*"
exec examples/demo/run "$@"
