# The servers that tests and the demo run against: fetched once, into build/servers, from public registries.
# shellcheck shell=bash

# need_servers KIND…: among dynamodb, fauxqs and moto, in the versions of tools/dev/servers. tools/dev/serve runs what this
# installs.
need_servers() {
    local kind missing=() directory=$build_root/servers
    for kind in "$@"; do [ -e "$directory/$kind/ready" ] || missing+=("$kind"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    for kind in "${missing[@]}"; do
        mkdir -p "$directory/$kind"
        "fetch_$kind" "$directory/$kind" || return
        touch "$directory/$kind/ready"
    done
}

need_command() { # COMMAND PACKAGE: any copy of it will do
    command -v "$1" >/dev/null || need "$2"
}

fetch_dynamodb() { # DIRECTORY
    need_command java default-jre-headless || return
    need_command mvn maven || return
    cp tools/dev/servers/dynamodb-pom.xml "$1/pom.xml"
    phase "fetching DynamoDB Local" "$build_root/logs/server-dynamodb.log" \
        mvn -q -B -f "$1/pom.xml" dependency:copy-dependencies -DoutputDirectory=lib -DincludeScope=runtime
}

fetch_fauxqs() { # DIRECTORY
    need_command node nodejs || return
    need_command npm npm || return
    cp tools/dev/servers/fauxqs/package.json tools/dev/servers/fauxqs/package-lock.json "$1/"
    phase "fetching fauxqs" "$build_root/logs/server-fauxqs.log" \
        npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
}

fetch_moto() { # DIRECTORY
    python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv || return
    phase "making a Python environment" "$build_root/logs/server-moto-venv.log" python3 -m venv "$1" || return
    phase "fetching moto" "$build_root/logs/server-moto.log" \
        "$1/bin/pip" install --disable-pip-version-check -q -r tools/dev/servers/moto-requirements.txt
}
