#!/usr/bin/env bash
# A real registry for the tests: registry.sh start DIR | stop DIR. Start prints its address, a free port on loopback.
set -euo pipefail
verb=${1:?start or stop} dir=${2:?a directory}

free_port() {
  node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

start() {
  command -v docker-registry >/dev/null || { echo "NOTICE: no docker-registry, so no real registry" >&2; exit 1; }
  mkdir -p "$dir"
  local port
  port=$(free_port)
  printf '%s\n' 'version: 0.1' 'log:' '  level: error' 'storage:' '  filesystem:' "    rootdirectory: $dir/data" '  delete:' '    enabled: true' \
    'http:' "  addr: 127.0.0.1:$port" >"$dir/config.yml"
  docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  for _ in $(seq 100); do
    curl -fsS -o /dev/null "http://127.0.0.1:$port/v2/" 2>/dev/null && { echo "127.0.0.1:$port"; exit 0; }
    kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
    sleep 0.1
  done
  echo "NOTICE: docker-registry did not come up: $(tail -n 3 "$dir/log")" >&2
  stop
  exit 1
}

stop() {
  [ -f "$dir/pid" ] || return 0
  kill "$(cat "$dir/pid")" 2>/dev/null || true
  rm -f "$dir/pid"
}

"$verb"
