#!/bin/sh
# The browser tests drive Debian's chromium and firefox-esr. Installs them where that is possible,
# says so where not: tests that miss theirs are skipped.
set -eu
missing=""
command -v chromium >/dev/null 2>&1 || missing="chromium fonts-dejavu-core"
command -v firefox-esr >/dev/null 2>&1 || missing="$missing firefox-esr"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "this user can not install $missing: tests that need it will be skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
for package in $missing; do # one by one: a distribution may have only some
    echo "installing $package for the browser tests …"
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "$package could not be installed: tests that need it will be skipped" >&2
done
