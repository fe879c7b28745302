# The servers that tests and the demo run against: fetched once, into build/servers, from public registries.
# shellcheck shell=bash

# need_servers KIND…: among dynamodb, fauxqs and moto. tools/dev/serve runs what this installs.
need_servers() {
    local kind missing=() directory=$build_root/servers
    for kind in "$@"; do [ -e "$directory/$kind/ready" ] || missing+=("$kind"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    for kind in "${missing[@]}"; do
        mkdir -p "$directory/$kind"
        case $kind in
        dynamodb)
            need_command java default-jre-headless
            need_command mvn maven
            cp tools/dev/servers/dynamodb-pom.xml "$directory/dynamodb/pom.xml"
            phase "fetching DynamoDB Local" "$build_root/logs/server-dynamodb.log" mvn -q -B -f "$directory/dynamodb/pom.xml" \
                dependency:copy-dependencies -DoutputDirectory=lib -DincludeScope=runtime
            ;;
        fauxqs)
            need_command node nodejs
            need_command npm npm
            phase "fetching fauxqs" "$build_root/logs/server-fauxqs.log" \
                npm install --prefix "$directory/fauxqs" --no-audit --no-fund --loglevel=error fauxqs@1.9.2
            ;;
        moto)
            python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv
            phase "making a Python environment" "$build_root/logs/server-moto-venv.log" python3 -m venv "$directory/moto"
            phase "fetching moto" "$build_root/logs/server-moto.log" \
                "$directory/moto/bin/pip" install --disable-pip-version-check -q 'moto[server]==5.2.5'
            ;;
        esac
        touch "$directory/$kind/ready"
    done
}

need_command() { # COMMAND PACKAGE: any copy of it will do
    command -v "$1" >/dev/null || need "$2"
}
