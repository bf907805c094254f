"""The outside world behind ports: each package is a contract, its vendors one a file, and a factory."""
