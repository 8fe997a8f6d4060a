#!/usr/bin/env bash
# Installs the agent on a Raspberry Pi (Raspberry Pi OS Bookworm or Trixie, 64 bit) or another Debian 12 or 13 machine, or
# brings it up to date. Run it again as often as you like: what is there stays, and what is new replaces it.
set -euo pipefail
unset PYTHONPATH PYTHONHOME # of whoever calls this

usage() {
  cat <<'TEXT'
Usage: sudo deploy/pi/install.sh [--skip-selftest] [--uninstall] [--help]

Installs Quietwater's agent from the folder that this script lies in:
  /opt/quietwater/releases/VERSION   one folder a release, with its own Python packages (edge alone, no server)
  /opt/quietwater/current            the release that runs; the one before is kept
  /etc/quietwater                    configuration and password, for the agent's user alone
  /var/lib/quietwater-edge           the outbox
A release that does not pass its self-test, or does not come up and stay up for half a minute, is not taken: the one
before goes on, and this ends with status 3.

  --skip-selftest   do not run the tables of IEC 61672-1 through the new release (a minute or two on a small Pi)
  --uninstall       take the agent away; configuration and readings stay
  --help            this text

Where /etc/quietwater-update/from and /etc/quietwater-update/signers are, new releases are fetched each night
(quietwater-update.timer; see deploy/pi/update.sh --help).

Then:  sudo quietwater edge enrol CODE --server https://your.server
TEXT
}

selftest=yes
uninstall=no
for argument in "$@"; do
  case "$argument" in
    --skip-selftest) selftest=no ;;
    --uninstall) uninstall=yes ;;
    --help | -h) usage; exit 0 ;;
    *) echo "unknown option $argument; see --help" >&2; exit 2 ;;
  esac
done

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source_folder="$(cd "$here/../.." && pwd)"
base=/opt/quietwater
unit=quietwater-edge.service
trial_s="${QUIETWATER_TRIAL_S:-30}" # how long a new release is watched before the one before is let go
user=quietwater-edge

say() { echo "quietwater: $*"; }
fail() { echo "quietwater: $*" >&2; exit 1; }
refuse() { echo "quietwater: $*" >&2; exit 3; }
with_systemd() { [ -d /run/systemd/system ]; }

[ "$(id -u)" = 0 ] || fail "run this with sudo"

if [ "$uninstall" = yes ]; then
  if with_systemd; then systemctl disable --now "$unit" 2>/dev/null || true; fi
  if with_systemd; then systemctl disable --now quietwater-update.timer 2>/dev/null || true; fi
  rm -f "/etc/systemd/system/$unit" /etc/systemd/system/quietwater-update.{service,timer} /etc/udev/rules.d/60-quietwater.rules \
    /etc/systemd/journald.conf.d/quietwater.conf /usr/local/bin/quietwater
  rm -rf "$base"
  if with_systemd; then systemctl daemon-reload; fi
  say "the agent is gone; /etc/quietwater and /var/lib/quietwater-edge are as they were"
  exit 0
fi

# -- what must be there ----------------------------------------------------------------------------------------

case "$(uname -m)" in
  aarch64 | x86_64) ;;
  *) fail "this is $(uname -m); the agent needs a 64 bit system (Raspberry Pi OS, 64 bit)" ;;
esac
missing=()
[ -x /usr/bin/python3 ] || missing+=(python3)
/usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
ldconfig -p | grep -q 'libportaudio\.so\.2' || missing+=(libportaudio2)
command -v curl >/dev/null || missing+=(curl ca-certificates)
command -v ssh-keygen >/dev/null || missing+=(openssh-client)
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || fail "apt-get update failed; is the network up?"
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || fail "apt-get install ${missing[*]} failed"
fi
/usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || fail "Python is $(/usr/bin/python3 -V); the agent needs 3.11 or newer (Debian 12, Raspberry Pi OS Bookworm)"

# -- user and folders ------------------------------------------------------------------------------------------

if ! id "$user" >/dev/null 2>&1; then
  useradd --system --user-group --home-dir /var/lib/quietwater-edge --no-create-home --shell /usr/sbin/nologin "$user"
  say "made the user $user"
fi
for group in audio dialout gpio; do
  if getent group "$group" >/dev/null; then usermod --append --groups "$group" "$user"; fi
done
install -d -o "$user" -g "$user" -m 0750 /etc/quietwater /var/lib/quietwater-edge
install -d -m 0755 "$base" "$base/releases" /etc/quietwater-update

# -- the release -----------------------------------------------------------------------------------------------

version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source_folder/pyproject.toml" | head -1)"
digest="$(cd "$source_folder" && find pyproject.toml requirements/edge.txt contract edge app store ingest analysis api \
  deploy/pi -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-10)"
release="$base/releases/$version-$digest"

if [ ! -e "$release/.complete" ]; then
  say "installing $version ($digest); this takes some minutes on a small Pi"
  rm -rf "$release"
  trap 'rm -rf "$release"' EXIT
  /usr/bin/python3 -m venv "$release"
  "$release/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --require-hashes \
    -r "$source_folder/requirements/edge.txt" || fail "the packages could not be installed; is the network up?"
  build="$(mktemp -d)"
  # A copy, so that nothing is written into the source folder.
  cp -a "$source_folder"/{contract,edge,store,ingest,analysis,api,app,pyproject.toml,README.md,LICENSE} "$build"
  "$release/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index "$build"
  rm -rf "$build"
  if [ "$selftest" = yes ]; then
    say "self-test of the new release"
    "$release/bin/quietwater" edge selftest --quiet || refuse "the new release does not pass its self-test; nothing was changed"
  fi
  if [ -e /etc/quietwater/edge.toml ]; then
    "$release/bin/quietwater" edge run --config /etc/quietwater/edge.toml --check >/dev/null \
      || refuse "the new release does not take /etc/quietwater/edge.toml; nothing was changed"
  fi
  mkdir "$release/deploy"
  cp "$here"/* "$release/deploy"
  touch "$release/.complete"
  trap - EXIT
fi

# -- what the system needs to know -----------------------------------------------------------------------------

put() { # put SOURCE TARGET: write only what is different
  if ! cmp -s "$1" "$2"; then install -D -m 0644 "$1" "$2"; changed=yes; fi
}
take() { # take RELEASE: make it the one that runs, with what it wants of the system
  put "$1/deploy/$unit" "/etc/systemd/system/$unit"
  put "$1/deploy/60-quietwater.rules" /etc/udev/rules.d/60-quietwater.rules
  put "$1/deploy/journald-quietwater.conf" /etc/systemd/journald.conf.d/quietwater.conf
  put "$1/deploy/quietwater-update.service" /etc/systemd/system/quietwater-update.service
  put "$1/deploy/quietwater-update.timer" /etc/systemd/system/quietwater-update.timer
  if [ "$(readlink "$base/current" 2>/dev/null)" != "$1" ]; then
    ln -sfn "$1" "$base/.next"
    mv -T "$base/.next" "$base/current"
    changed=yes
  fi
  if [ "$changed" = yes ] && with_systemd; then
    systemctl daemon-reload
    udevadm control --reload 2>/dev/null || true
    systemctl restart systemd-journald 2>/dev/null || true
  fi
}
stays_up() { # Type=notify: a restart comes back once the agent measures, or fails. Then it must not end by itself.
  systemctl restart "$unit" || return 1
  local second restarts
  restarts="$(systemctl show --property=NRestarts --value "$unit")"
  for ((second = 0; second < $1; second++)); do
    sleep 1
    systemctl is-active --quiet "$unit" || return 1
    [ "$(systemctl show --property=NRestarts --value "$unit")" = "$restarts" ] || return 1
  done
}
changed=no
before="$(readlink "$base/current" 2>/dev/null || true)"
# Left by a trial that a power cut ended: it begins anew, and goes back to the same release.
if [ -d "$(cat "$base/.before" 2>/dev/null)" ]; then before="$(cat "$base/.before")"; fi
if [ -n "$before" ] && [ "$before" != "$release" ]; then echo "$before" >"$base/.before"; fi
take "$release"
command=/usr/local/bin/quietwater
[ "$(readlink "$command" 2>/dev/null)" = "$base/current/bin/quietwater" ] || ln -sfn "$base/current/bin/quietwater" "$command"

if with_systemd; then
  timedatectl set-ntp true 2>/dev/null || say "the clock is not kept by systemd; see that something keeps it (chrony)"
  systemctl enable --quiet "$unit"
  systemctl enable --quiet --now quietwater-update.timer
  if [ -e /etc/quietwater/edge.toml ] && { [ "$changed" = yes ] || [ -e "$base/.before" ] || ! systemctl is-active --quiet "$unit"; }; then
    if [ -z "$before" ] || [ "$before" = "$release" ]; then
      stays_up 0 || fail "the agent did not come up. See: journalctl -u $unit"
    elif ! stays_up "$trial_s"; then
      if [ ! -d "$before/deploy" ]; then cp -r "$release/deploy" "$before/deploy"; fi # one from before these were kept
      take "$before"
      rm -f "$base/.before"
      stays_up 0 || true
      rm -rf "$release"
      refuse "the new release did not come up and stay up; $(basename "$before") runs on. See: journalctl -u $unit"
    fi
  fi
fi

rm -f "$base/.before"

# The release that runs and the one before are kept.
if [ "$before" != "$release" ]; then
  for old in "$base"/releases/*; do
    case "$old" in "$release" | "$before") ;; *) rm -rf "$old" ;; esac
  done
fi

if [ -e /etc/quietwater/edge.toml ]; then
  say "$version is installed"
else
  say "$version is installed. Next:  sudo quietwater edge enrol CODE --server https://your.server"
fi
