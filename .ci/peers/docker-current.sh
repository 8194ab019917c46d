#!/usr/bin/env bash
# docker-current.sh DIR: the Docker Engine of Debian's unstable suite, unpacked into DIR and nowhere else; prints the
# directory to put in front of PATH. Debian stable's engine is years older than what we are held against. It runs with the
# containerd and runc that are installed.
set -euo pipefail
dir=$(mkdir -p "${1:?a directory}" && cd "$1" && pwd)
[ -x "$dir/usr/sbin/dockerd" ] && { echo "$dir/usr/sbin"; exit 0; }
command -v apt-get >/dev/null || { echo "NOTICE: no apt-get, so no current Docker Engine" >&2; exit 1; }
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
[ -n "$mirror" ] || { echo "NOTICE: no Debian mirror is configured" >&2; exit 1; }
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$dir/apt/sid.list"
apt=(apt-get -q -o "Dir::Etc::SourceList=$dir/apt/sid.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$dir/apt/lists"
  -o "Dir::Cache=$dir/apt" -o APT::Sandbox::User=root)
"${apt[@]}" update </dev/null >&2
(cd "$dir/apt/archives" && "${apt[@]}" download docker.io docker-cli </dev/null >&2)
for package in "$dir"/apt/archives/*.deb; do dpkg-deb --extract "$package" "$dir"; done
rm -rf "$dir/apt"
echo "$dir/usr/sbin"
