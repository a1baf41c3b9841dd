"""The Freddy dialect: `/v1/model/response`."""
