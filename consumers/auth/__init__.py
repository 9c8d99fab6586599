"""Authentication, authorization and admission control of requests."""
