#!/bin/sh
# Makes what compose.yaml needs before its first start: the file .env and the secrets. What is there stays.
set -eu

if [ $# -ne 1 ] || [ "${1#-}" != "$1" ]; then
  echo "Usage: deploy/compose/prepare.sh HOST     HOST: the name under which people and devices reach this server" >&2
  exit 2
fi
cd "$(dirname "$0")"

# The files are for whoever a container runs as; the folder lets nobody of this machine in but its owner.
mkdir -p secrets
chmod 700 secrets
for name in broker grafana influx_password influx_token metrics page_token registry; do
  if [ ! -s "secrets/$name" ]; then
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$name.new"
    chmod 444 "secrets/$name.new"
    mv "secrets/$name.new" "secrets/$name"
  fi
done
if [ ! -e .env ]; then
  printf 'QUIETWATER_HOST=%s\nQUIETWATER_BASE_URL=https://%s\n' "$1" "$1" >.env
  echo "made .env and secrets for $1"
else
  echo ".env is there already and stays as it is: $(grep '^QUIETWATER_HOST=' .env)"
fi
