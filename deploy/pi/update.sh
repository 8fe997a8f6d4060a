#!/usr/bin/env bash
# Fetches the newest release, makes sure that it is genuine, and hands it to its own installer, which goes back to the
# release before if the new one fails its self-test or does not stay up. The timer quietwater-update.timer runs it.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: sudo /opt/quietwater/current/deploy/update.sh [--force] [--help]

Reads /etc/quietwater-update/from: one line, https://releases.example/quietwater or file:///media/usb/quietwater.
Trusts what the keys of /etc/quietwater-update/signers have signed (ssh-keygen's allowed_signers, for `release`).
At that address lie `manifest`, `manifest.sig` and the archive that the manifest names; release.sh makes all three.

A release that did not work here is not tried again until there is another one, and none is taken that is older than
the last one that was.

  --force   try again a release that did not work
  --help    this text
TEXT
}

force=no
for argument in "$@"; do
  case "$argument" in
    --force) force=yes ;;
    --help | -h) usage; exit 0 ;;
    *) echo "unknown option $argument; see --help" >&2; exit 2 ;;
  esac
done

# Not in /etc/quietwater, which is the agent's own: whoever is the agent must not say what root installs.
settings=/etc/quietwater-update/from
signers=/etc/quietwater-update/signers
state=/var/lib/quietwater-update
most_bytes=$((256 << 20))

say() { echo "quietwater update: $*"; }
fail() { echo "quietwater update: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "run this with sudo"
[ -r "$settings" ] || fail "$settings is missing; its one line says where releases are: https://…"
[ -r "$signers" ] || fail "$signers is missing; it holds the keys whose releases are trusted"
read -r from <"$settings" || [ -n "$from" ] || fail "$settings is empty"
case "$from" in
  https://* | file:///*) from="${from%/}" ;;
  *) fail "$settings: it must be https://… or file:///…, not '$from'" ;;
esac
install -d -m 0700 "$state"
exec 9>"$state/lock"
flock --nonblock 9 || fail "an update is under way"

work="$(mktemp -d "$state/new.XXXXXX")"
trap 'rm -rf "$work"' EXIT
fetch() { # fetch NAME BYTES: no more than so many
  curl --fail --silent --show-error --location --proto '=https,file' --proto-redir '=https' --retry 3 --max-time 1800 \
    --max-filesize "$2" --output "$work/$1" "$from/$1" || fail "$from/$1 cannot be fetched"
  [ "$(stat -c %s "$work/$1")" -le "$2" ] || fail "$from/$1 is larger than $2 bytes"
}

# -- is it genuine, and new? -----------------------------------------------------------------------------------

fetch manifest 4096
fetch manifest.sig 4096
ssh-keygen -Y verify -f "$signers" -I release -n quietwater-release -s "$work/manifest.sig" \
  <"$work/manifest" >/dev/null 2>"$work/why" || fail "the manifest's signature is not that of a trusted key; nothing was changed"
value() { sed -n "s/^$1 = //p" "$work/manifest"; }
version="$(value version)" archive="$(value archive)" digest="$(value sha256)" made="$(value made)"
[[ "$version" =~ ^[0-9A-Za-z.+-]{1,40}$ && "$archive" =~ ^[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}$ &&
  "$digest" =~ ^[0-9a-f]{64}$ && "$made" =~ ^[0-9]{10}$ ]] || fail "the manifest is not one of release.sh"
taken="$(cat "$state/taken" 2>/dev/null || echo 0)"
this="$made $digest"
if [ "$this" = "$taken" ]; then exit 0; fi
[ "$made" -ge "${taken%% *}" ] || fail "the release at $from is older than the last one that was taken; nothing was changed"
if [ "$force" = no ] && [ "$this" = "$(cat "$state/refused" 2>/dev/null)" ]; then exit 0; fi

fetch "$archive" "$most_bytes"
echo "$digest  $work/$archive" | sha256sum --check --status || fail "$archive is not what the manifest says; nothing was changed"

# -- take it ---------------------------------------------------------------------------------------------------

say "$version is new and genuine"
mkdir "$work/release"
tar --extract --gzip --file "$work/$archive" --directory "$work/release" --no-same-owner --no-same-permissions \
  || fail "$archive cannot be unpacked; nothing was changed"
[ -f "$work/release/deploy/pi/install.sh" ] || fail "$archive holds no installer; nothing was changed"
status=0
bash "$work/release/deploy/pi/install.sh" 9>&- || status=$? # whatever it leaves running must not hold the lock
case "$status" in
  0)
    echo "$this" >"$state/taken"
    rm -f "$state/refused"
    say "$version runs"
    ;;
  3)
    echo "$this" >"$state/refused"
    fail "$version does not work here and is not tried again; $(basename "$(readlink /opt/quietwater/current)") runs on"
    ;;
  *) fail "$version could not be installed; it is tried again next time" ;;
esac
