"""What several tests share: tiny models, servers to test clients with."""
