storage "postgresql" {
  connection_url = "postgres://coffer@postgres.example.com/coffer?sslmode=verify-full&sslrootcert=/etc/coffer-database/ca.crt"
  password_file  = "/etc/coffer-database/password"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/coffer-tls/tls.crt"
  tls_key_file  = "/etc/coffer-tls/tls.key"
}

seal "static" {
  current_key_id = "2026-11"
  current_key    = "file:///etc/coffer-seal/seal.key"
}

audit "file" "stdout" {
  options = { file_path = "stdout" }
}

api_addr   = "https://coffer.coffer.svc:8200"
log_format = "json"
