#!/usr/bin/env bash
# Installs Quietwater's server parts on Debian 12 or 13, or brings them up to date. Run it again as often as you like: what
# is there stays, and what is new replaces it. Broker, store and Caddy are Debian's own packages; docs/install-server.md.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: sudo deploy/server/install.sh [--help]

Installs Quietwater's server from the folder that this script lies in:
  /opt/quietwater/releases/VERSION   one folder a release, with its own Python packages
  /opt/quietwater/current            the release that runs; the one before is kept
  /etc/quietwater/server.env         where broker and store are, and the password between them (mode 600)
  /var/lib/quietwater                registry, files, secrets
  /var/backups/quietwater            a backup each night, fourteen are kept
and the units quietwater-ingest, -analysis, -serve, -mosquitto and the timer quietwater-backup. It starts nothing that did
not run before.
TEXT
}

case "${1-}" in
  "") ;;
  --help | -h) usage; exit 0 ;;
  *) echo "unknown option $1; see --help" >&2; exit 2 ;;
esac

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source_folder="$(cd "$here/../.." && pwd)"
base=/opt/quietwater
data=/var/lib/quietwater
user=quietwater

say() { echo "quietwater: $*"; }
fail() { echo "quietwater: $*" >&2; exit 1; }
with_systemd() { [ -d /run/systemd/system ]; }

[ "$(id -u)" = 0 ] || fail "run this with sudo"
[ ! -e /etc/systemd/system/quietwater-edge.service ] \
  || fail "the agent of a Raspberry Pi is installed here; a server is a machine of its own"
/usr/bin/python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  || fail "needs Python 3.11 or newer with venv: apt-get install python3-venv"

# -- user and folders ------------------------------------------------------------------------------------------

if ! id "$user" >/dev/null 2>&1; then
  useradd --system --user-group --home-dir "$data" --no-create-home --shell /usr/sbin/nologin "$user"
  say "made the user $user"
fi
install -d -o "$user" -g "$user" -m 0750 "$data" /var/backups/quietwater
install -d -m 0755 /etc/quietwater "$base" "$base/releases"
if getent group mosquitto >/dev/null; then
  install -d -o "$user" -g mosquitto -m 2750 /etc/mosquitto/quietwater    # files in it get Mosquitto's group
fi

# -- the release -----------------------------------------------------------------------------------------------

version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source_folder/pyproject.toml" | head -1)"
digest="$(cd "$source_folder" && find pyproject.toml requirements/run.txt contract edge app store ingest analysis api \
  -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-10)"
release="$base/releases/server-$version-$digest"

if [ ! -e "$release/.complete" ]; then
  say "installing $version ($digest); this fetches a few hundred megabytes of packages"
  rm -rf "$release"
  trap 'rm -rf "$release"' EXIT
  /usr/bin/python3 -m venv "$release"
  "$release/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
    -r "$source_folder/requirements/run.txt" || fail "the packages could not be installed; is the network up?"
  build="$(mktemp -d)"
  # A copy, so that nothing is written into the source folder.
  cp -a "$source_folder"/{contract,edge,store,ingest,analysis,api,app,pyproject.toml,README.md,LICENSE} "$build"
  "$release/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index "$build"
  rm -rf "$build"
  "$release/bin/quietwater" --help >/dev/null || fail "the new release does not start; nothing was changed"
  touch "$release/.complete"
  trap - EXIT
fi

# -- what the system needs to know -----------------------------------------------------------------------------

changed=no
for unit in "$source_folder"/deploy/systemd/quietwater-*; do
  target="/etc/systemd/system/$(basename "$unit")"
  if ! cmp -s "$unit" "$target"; then install -m 0644 "$unit" "$target"; changed=yes; fi
done
if [ ! -e /etc/quietwater/server.env ]; then
  password="$(/usr/bin/python3 -c 'import secrets; print(secrets.token_hex(24))')"
  (umask 077 && sed "s/^QUIETWATER_BROKER_PASSWORD=\$/&$password/" "$source_folder/deploy/systemd/server.env" \
    >/etc/quietwater/server.env)
  say "made /etc/quietwater/server.env; write the address of the page there"
fi

before="$(readlink "$base/current" 2>/dev/null || true)"
if [ "$before" != "$release" ]; then
  ln -sfn "$release" "$base/.next" && mv -T "$base/.next" "$base/current"
  changed=yes
fi
[ "$(readlink /usr/local/bin/quietwater 2>/dev/null)" = "$base/current/bin/quietwater" ] \
  || ln -sfn "$base/current/bin/quietwater" /usr/local/bin/quietwater
(cd "$data" && setpriv --reuid="$user" --regid="$user" --init-groups quietwater admin --data "$data" init)

if with_systemd && [ "$changed" = yes ]; then
  systemctl daemon-reload
  for unit in quietwater-ingest quietwater-analysis quietwater-serve quietwater-mosquitto; do
    if systemctl is-active --quiet "$unit"; then systemctl restart "$unit"; fi
  done
fi

# The release that runs and the one before are kept.
for old in "$base"/releases/server-*; do
  case "$old" in "$release" | "$before") ;; *) rm -rf "$old" ;; esac
done
say "$version is installed; docs/install-server.md says what comes next"
