#!/bin/sh
# Makes what is secret, once: passwords, the seal key, a certificate authority and certificates. Nothing of it leaves the volume.
set -eu
[ -e /secrets/done ] && exit 0
umask 077
cd /secrets
mkdir -p coffer postgres balancer
random() { openssl rand -hex 24; }

random >postgres/superuser
random >postgres/replication
random >coffer/database-password
cp coffer/database-password postgres/coffer
openssl rand -base64 32 >coffer/seal.key

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj '/CN=Coffer compose CA' \
  -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
  -keyout ca.key -out ca.pem 2>/dev/null
certificate() { # NAME SUBJECT-ALT-NAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$2" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}
certificate coffer 'DNS:coffer,DNS:coffer1,DNS:coffer2,DNS:coffer3,DNS:balancer,DNS:localhost,IP:127.0.0.1'
certificate postgres 'DNS:postgres,DNS:standby'
mv coffer.key coffer/tls.key && mv coffer.crt coffer/tls.crt
mv postgres.key postgres/tls.key && mv postgres.crt postgres/tls.crt
for folder in coffer postgres balancer; do cp ca.pem "$folder/ca.pem"; done

# Each part reads its own folder alone: Coffer (8200), PostgreSQL, HAProxy (99) in their images.
chown -R 8200:8200 coffer
chown -R postgres:postgres postgres
chown -R 99:99 balancer
chmod 0755 /secrets
: >done
