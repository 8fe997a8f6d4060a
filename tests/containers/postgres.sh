#!/bin/sh
# What the model's entrypoint does with POSTGRES_USER, _DB and _PASSWORD_FILE.
set -eu
data=/var/lib/postgresql/data/main
if [ ! -s "$data/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --auth-local=trust --encoding=UTF8 --locale=C.UTF-8 -D "$data"
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  echo "create database \"$POSTGRES_DB\"" | postgres --single -D "$data" -j postgres
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
