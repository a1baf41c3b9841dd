"""Webhook endpoints, their secrets and their deliveries: `/v1/webhook_endpoints` and `/v1/webhook_secret`."""
