#!/usr/bin/env bash
# The tests of the page need a browser. Install Debian's where this may be done; elsewhere they are skipped, loudly.
set -euo pipefail
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "chromium.sh: no browser, and no right to install one: the tests of the page will be skipped." >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -qq --yes --no-install-recommends)
# The shell does the same with half the work.
apt-get update -qq && { "${install[@]}" chromium-headless-shell >/dev/null || "${install[@]}" chromium >/dev/null; } \
  || echo "chromium.sh: apt-get could not install chromium: the tests of the page will be skipped." >&2
