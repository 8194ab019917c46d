#!/usr/bin/env bash
# A real Docker Engine for the tests: docker.sh start DIR | stop DIR. All of it is in DIR; start prints its address.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
verb=${1:?start or stop} dir=${2:?a directory}

start() {
  command -v dockerd >/dev/null || { echo "NOTICE: no dockerd, so no Docker Engine to compare with" >&2; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "NOTICE: not root, so no Docker Engine to compare with" >&2; exit 1; }
  mkdir -p "$dir"
  [ -e /sys/class/net/docker0 ] || touch "$dir/made-docker0"
  # A session of its own, so that Ctrl-C reaches us first and we stop it in order.
  setsid dockerd -H "unix://$dir/docker.sock" --data-root "$dir/data" --exec-root "$dir/exec" -p "$dir/pid" \
    --insecure-registry 127.0.0.0/8 >"$dir/log" 2>&1 </dev/null &
  local daemon=$!
  for _ in $(seq 150); do
    curl -fsS -o /dev/null --unix-socket "$dir/docker.sock" http://docker/_ping 2>/dev/null && { echo "unix://$dir/docker.sock"; exit 0; }
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.2
  done
  echo "NOTICE: dockerd did not come up: $(grep -v level=info "$dir/log" | tail -n 3)" >&2
  stop
  exit 1
}

stop() {
  if [ -f "$dir/pid" ]; then
    local daemon
    daemon=$(cat "$dir/pid")
    kill "$daemon" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.1
    done
  fi
  [ ! -e "$dir/made-docker0" ] || ip link delete docker0 2>/dev/null || true
  rm -f "$dir/made-docker0"
}

"$verb"
