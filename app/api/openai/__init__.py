"""The OpenAI dialect: `/v1/responses` and `/v1/models`."""
