vault {
  address = "https://vault.example.com:8200"
}
auto_auth {
  method "kubernetes" {
    config = {
      role       = "rotator"
      token_path = "/var/run/secrets/vault/token"
    }
  }
  sink "file" {
    config = {
      path = "/vault/token"
      mode = 0644
    }
  }
}
