#!/usr/bin/env bash
# Do what the image does, without Docker: install, serve MODEL, ask, check its health, stop.
#   deploy/docker/prod-minimal/check.sh runs/travel-onnx
set -euo pipefail
model=$(realpath "${1:?usage: check.sh EXPORTED_MODEL}")
cd "$(dirname "$0")/../../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/hub"
sh deploy/docker/prod-minimal/install.sh "$scratch/hub" >"$scratch/install.log" 2>&1 ||
  { cat "$scratch/install.log"; exit 1; }
du -sm "$scratch/hub" | awk '{print "installed " $1 " MB"}'
for package in paddle datasets pyarrow sklearn pandas; do
  [ ! -e "$scratch/hub"/lib/python3*/site-packages/$package ] || { echo "$package came in"; exit 1; }
done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$scratch"
env -i PATH="$scratch/hub/bin:/usr/bin:/bin" HUB_HOME="$scratch/none" PYTHONDONTWRITEBYTECODE=1 \
  hub serve "travel=$model" --port "$port" 2>"$scratch/log" &
service=$!
trap 'kill $service 2>/dev/null || true; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do
  "$scratch/hub/bin/python" -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$port/readyz', timeout=2)" \
    2>/dev/null && break
  kill -0 $service 2>/dev/null || { cat "$scratch/log"; exit 1; }
  sleep 0.1
done
"$scratch/hub/bin/python" - "$port" <<'PYTHON'
import json, sys, urllib.request
address = f"http://127.0.0.1:{sys.argv[1]}/v1/models/travel:predict"
body = json.dumps({"text": "这家酒店的电话是多少"}).encode()
print(urllib.request.urlopen(address, body, timeout=10).read().decode())
PYTHON
kill $service
wait $service
echo "ended with 0"
