#!/bin/sh
# The browser tests drive Debian's chromium. Installs it where that is possible, says so where not.
set -eu
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the browser tests …"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
    echo "chromium is missing and this user can not install it: browser tests will be skipped" >&2
fi
