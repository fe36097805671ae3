# All three nodes have this file.
storage "postgresql" {
  connection_url = "postgres://coffer@postgres,standby/coffer?sslmode=verify-full&sslrootcert=/secrets/coffer/ca.pem"
  password_file  = "/secrets/coffer/database-password"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/secrets/coffer/tls.crt"
  tls_key_file  = "/secrets/coffer/tls.key"

  # The load balancer says who the client is.
  proxy_protocol_behavior         = "allow_authorized"
  proxy_protocol_authorized_addrs = "172.31.82.10"
}

seal "static" {
  current_key_id = "compose"
  current_key    = "file:///secrets/coffer/seal.key"
}

audit "file" "stdout" {
  options = { file_path = "stdout" }
}

api_addr   = "https://127.0.0.1:8200"
log_format = "json"
