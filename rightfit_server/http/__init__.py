"""HTTP: one file per question. Bodies in and out, problems, who asks; then the routes."""
