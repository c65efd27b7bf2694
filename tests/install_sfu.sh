#!/bin/sh
# A test publishes to a real SFU: Janus and the WHIP server of its makers, both Debian's packages.
# Installs them where that is possible, says so where not.
set -eu
own=/usr/local/share/simple-whip-server
if command -v janus >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
    if [ -f "$own/src/server.js" ] || [ -f /usr/share/simple-whip-server/src/server.js ]; then
        exit 0
    fi
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "janus is missing and this user can not install it: the test with an SFU will be skipped" >&2
    exit 0
fi
echo "installing an SFU for the test of publishing …"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1  # not started as services
apt-get update -qq
apt-get install -y -qq --no-install-recommends janus >/dev/null
if ! apt-get install -y -qq --no-install-recommends simple-whip-server >/dev/null 2>&1; then
    # Another Node.js than Debian's is installed: the same package, its libraries from npm.
    cd "$(mktemp -d)"
    apt-get download -qq simple-whip-server 2>/dev/null
    dpkg-deb -x simple-whip-server_*.deb .
    mkdir -p "$own"
    cp -r usr/share/simple-whip-server/src "$own/"
    npm install --silent --no-audit --no-fund --prefix "$own" \
        async@3 body-parser@1 colors@1 cors@2 debug@4 express@4 websocket@1
fi
