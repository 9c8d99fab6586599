"""The files that ``docker-compose.kafka.yml`` mounts, and the command that pins its images; no code of a stage."""
