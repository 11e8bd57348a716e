#!/bin/sh
# Makes the secrets of compose.yaml, each in a file of its own; those that are there stay as they are.
#
#     deploy/compose/secrets.sh [FOLDER]
#
# The folder is closed to others. The files in it can be read by all, since containers run under accounts of their own.
set -eu

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

for name in clickhouse-detector clickhouse-admin clickhouse-grafana grafana-admin; do
  [ -s "$folder/$name" ] || random >"$folder/$name"
done
# What your receivers ask for: put theirs in.
for name in page-token ticket-token digest-token heartbeat-token; do
  [ -s "$folder/$name" ] || random >"$folder/$name"
done

sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; } # the latter is macOS's
hash() { printf '%s' "$(cat "$folder/$1")" | sha256 | cut -d ' ' -f 1; }

# Made anew each time, so that it fits the passwords; the roles are those of deploy/clickhouse/roles.sql.
{
  echo "-- Users of the event store. Made by secrets.sh."
  for pair in detector:detector_writer admin:detector_admin grafana:analyst; do
    user=${pair%%:*} role=${pair##*:}
    echo "CREATE USER IF NOT EXISTS $user IDENTIFIED WITH sha256_hash BY '$(hash "clickhouse-$user")';"
    echo "GRANT $role TO $user;"
    echo "SET DEFAULT ROLE $role TO $user;"
  done
} >"$folder/clickhouse-users.sql"

chmod 644 "$folder"/*
echo "the secrets are in $folder"
