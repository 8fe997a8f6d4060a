#!/bin/sh
# Runs in the container `setup` before the others, at each start: whatever is missing is made, the rest stays.
set -eu
host=$1

# First what may have to be tried again: the password that `init` makes is shown once.
quietwater admin init-store
quietwater admin init
if [ ! -s /etc/mosquitto/quietwater/server.pem ]; then
  quietwater admin certificate server "$host" --out /etc/mosquitto/quietwater
fi
# Mosquitto starts with the devices that there are.
quietwater admin mosquitto --out /etc/mosquitto/quietwater
