#!/bin/sh
# What stands between a server and its viewers, for tests with the real things: nginx, Caddy and
# coturn, Debian's packages. Installs them where that is possible, says so where not.
set -eu
missing=
for pair in turnserver:coturn nginx:nginx-light caddy:caddy; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not here, and this user can not install it:$missing. Tests with it will be skipped" >&2
    exit 0
fi
echo "installing$missing for the tests of deployment …"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # not started as services
apt-get update -qq
for package in $missing; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "$package can not be installed: tests with it will be skipped" >&2
done
