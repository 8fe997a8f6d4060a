#!/bin/sh
# Starts Mosquitto and has it read its users and rules anew when they have changed: nobody else may signal it in a container.
#   mosquitto.sh CONFIGURATION FOLDER
set -eu
configuration=$1
folder=$2

state() { cat "$folder/passwords" "$folder/devices.acl" "$folder/server.acl" "$folder/server.pem" 2>/dev/null | cksum; }

seen=$(state)
mosquitto -c "$configuration" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null || true' TERM INT
while kill -0 "$broker" 2>/dev/null; do
  sleep 2 &
  wait $! || true
  now=$(state)
  if [ "$now" != "$seen" ]; then
    seen=$now
    kill -HUP "$broker" 2>/dev/null || true
  fi
done
wait "$broker"
