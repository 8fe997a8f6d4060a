#!/usr/bin/env bash
# Makes a release that deploy/pi/update.sh fetches: the archive, its manifest, and the manifest's signature.
set -euo pipefail

if [ $# != 2 ] || [ "$1" = --help ] || [ "$1" = -h ]; then
  cat <<'TEXT'
Usage: deploy/pi/release.sh FOLDER KEY

Writes quietwater-VERSION.tar.gz, `manifest` and `manifest.sig` into FOLDER; lay all three where the devices'
/etc/quietwater-update/from points. KEY is a private key of ssh-keygen:
  ssh-keygen -t ed25519 -f release-key -C release
and on every device /etc/quietwater-update/signers holds its public half:
  echo "release namespaces=\"quietwater-release\" $(cat release-key.pub)"
TEXT
  case "${1:-}" in --help | -h) exit 0 ;; *) exit 2 ;; esac
fi
folder="$1" key="$2"
sources="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$sources/pyproject.toml" | head -1)"
archive="quietwater-$version.tar.gz"

mkdir -p "$folder"
draft="$(mktemp -d "$folder/draft.XXXXXX")"
trap 'rm -rf "$draft"' EXIT
tar --create --gzip --file "$draft/$archive" --directory "$sources" --owner=0 --group=0 --numeric-owner --sort=name \
  --exclude='__pycache__' contract edge store ingest analysis api app deploy/pi requirements/edge.txt \
  pyproject.toml README.md LICENSE
{
  echo "version = $version"
  echo "archive = $archive"
  echo "sha256 = $(sha256sum "$draft/$archive" | cut -d' ' -f1)"
  echo "made = $(date +%s)"
} >"$draft/manifest"
ssh-keygen -q -Y sign -f "$key" -n quietwater-release "$draft/manifest" 2>"$draft/why" || { cat "$draft/why" >&2; exit 1; }
# The archive first: whoever fetches in between finds the old manifest with the old archive, or an archive too many.
mv "$draft/$archive" "$folder/$archive"
mv "$draft/manifest.sig" "$folder/manifest.sig"
mv "$draft/manifest" "$folder/manifest"
echo "$folder: $version"
