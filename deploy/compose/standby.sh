#!/bin/sh
# The standby: copies the primary at its first start, then follows it.
set -eu
data=${PGDATA:-/var/lib/postgresql/data}
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "${data:?}"/*
  PGPASSWORD=$(cat /secrets/postgres/replication)
  export PGPASSWORD
  pg_basebackup --pgdata="$data" --wal-method=stream --slot=standby --checkpoint=fast --write-recovery-conf \
    --dbname='host=postgres user=replication application_name=standby sslmode=verify-full sslrootcert=/secrets/postgres/ca.pem'
  chmod 0700 "$data"
fi
exec postgres -D "$data" -c hba_file=/etc/postgresql/pg_hba.conf -c hot_standby=on -c max_connections=100
