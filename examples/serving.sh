# Servers for the examples that need some, on free ports of this machine.
# shellcheck shell=bash

declare -A port=() server=()

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# serve KIND LOG: runs a server of tools/dev/serve, which ends with this script at the latest; it answers on ${port[KIND]},
# and is process ${server[KIND]}.
serve() {
    local kind=$1 log=$2 deadline=$((SECONDS + 60)) together=()
    ! command -v setpriv >/dev/null || together=(setpriv --pdeathsig KILL --)
    port[$kind]=$((20000 + RANDOM % 20000))
    while listens "${port[$kind]}"; do port[$kind]=$((20000 + RANDOM % 20000)); done
    "${together[@]}" "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../tools/dev/serve" "$kind" "${port[$kind]}" \
        >"$log" 2>&1 </dev/null &
    server[$kind]=$!
    until listens "${port[$kind]}"; do
        if ! kill -0 "${server[$kind]}" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
            echo "the server $kind does not answer: $(tail -n 1 "$log")" >&2
            return 1
        fi
        sleep 0.1
    done
}
