#!/bin/sh
# Runs once, while the primary's data folder is made: roles, database, TLS, and from the next start on the synchronous standby.
set -eu
replication=$(cat /secrets/postgres/replication)
coffer=$(cat /secrets/postgres/coffer)
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres \
  --set=replication="$replication" --set=coffer="$coffer" <<'SQL'
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'replication';
CREATE ROLE coffer LOGIN PASSWORD :'coffer';
CREATE DATABASE coffer OWNER coffer;
SELECT pg_create_physical_replication_slot('standby');
ALTER SYSTEM SET ssl = on;
ALTER SYSTEM SET ssl_cert_file = '/secrets/postgres/tls.crt';
ALTER SYSTEM SET ssl_key_file = '/secrets/postgres/tls.key';
ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby)';
SQL
