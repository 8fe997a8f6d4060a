#!/bin/sh
# Copies everything into a new folder, and keeps the newest. With `nightly` it does so each night at half past two, UTC.
#   backup.sh FOLDER HOW_MANY [nightly]
set -eu
folder=$1
keep=$2

backup() {
  # The old ones go only once the new one is whole.
  quietwater backup "$folder/$(date +%Y-%m-%dT%H%M%S)" || return 1
  find "$folder" -mindepth 1 -maxdepth 1 -type d -name '????-??-??T??????' | sort | head -n "-$keep" | xargs -r rm -rf
}

if [ "${3-}" != nightly ]; then
  backup
  exit
fi
while :; do
  sleep $(((86400 + 9000 - $(date +%s) % 86400) % 86400)) &
  wait $!
  backup || true
  sleep 60
done
