"""Every error code that a client may meet: its status and type, when it comes, and a message as an example."""

from app.api.openapi.code import RESPONSE_ID, Code

CODES: dict[str, Code] = {
    # The key
    "invalid_api_key": Code(
        401,
        "No key, a malformed one, or one that is not (or no longer) in use.",
        "Send a valid API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
    ),
    "expired_api_key": Code(
        401, "The key has expired, or was rotated.", "This API key has expired. Ask the administrator for a new one."
    ),
    "insufficient_scope": Code(
        403,
        "The key is valid, but not for this.",
        "This API key lacks the scope `responses:write`. Use one that has it.",
    ),
    "duplicate_header": Code(400, "Two keys in one request.", "Send one API key in one header."),
    # The request as such
    "invalid_http": Code(
        400,
        "The request is not well-formed HTTP.",
        "The request is not well-formed HTTP/1.1. Use an HTTP library.",
    ),
    "uri_too_long": Code(414, "The address is too long.", "The address is too long. Shorten its query."),
    "headers_too_large": Code(
        431,
        "The headers are too large.",
        "The headers are too large. Send fewer, and shorter ones.",
    ),
    # The body, before anybody looks at what it says
    "unsupported_media_type": Code(
        415,
        "The body is not labelled as JSON, or is compressed.",
        "Send the body as `Content-Type: application/json`, uncompressed.",
    ),
    "request_too_large": Code(413, "The body is too large.", "The body is too large."),
    "incomplete_body": Code(
        400,
        "The body did not come as announced, or too slowly.",
        "The body did not come as announced, or not in time. Send it again.",
    ),
    "invalid_encoding": Code(400, "The body, or the query, is not UTF-8.", "The body must be UTF-8."),
    "invalid_json": Code(
        400,
        "The body is empty, cut off, followed by something else, or holds NaN or Infinity.",
        "The body is not valid JSON: look at line 1, column 12.",
    ),
    "json_too_deep": Code(400, "Objects and arrays are nested too deep.", "Nest at most 64 levels deep."),
    "duplicate_key": Code(400, "An object holds one key twice.", "An object in the body holds the same key twice."),
    "invalid_number": Code(400, "A number has too many digits, or is too large.", "A number in the body is too large."),
    "invalid_unicode": Code(
        400,
        "NUL, or half of a surrogate pair, in a text or a key.",
        "Text must not hold NUL or unpaired surrogates.",
        "metadata.team",
    ),
    # Parameters, of the query and the body
    "missing_required_parameter": Code(400, "A parameter is missing or empty.", "This parameter is required.", "model"),
    "unknown_parameter": Code(
        400, "There is no such parameter.", "There is no such parameter. Leave it out.", "temprature"
    ),
    "unsupported_parameter": Code(
        400,
        "The parameter exists elsewhere, but can't be honoured here.",
        "This model serves no hosted tool of this type. Use function tools, or ask the administrator.",
        "tools[0].type",
    ),
    "invalid_type": Code(
        400, "A value of another type: nothing is converted.", "Input should be a valid boolean.", "background"
    ),
    "invalid_value": Code(
        400,
        "A value that is none of those allowed, or does not fit the others.",
        "Input should be 'asc' or 'desc'.",
        "order",
    ),
    "out_of_range": Code(
        400, "A number that is too small or too large.", "Input should be less than or equal to 2.", "temperature"
    ),
    "array_too_long": Code(
        400,
        "A list with too many elements, or a conversation with too many items.",
        "List should have at most 10000 items after validation.",
        "inputs",
    ),
    "string_too_long": Code(
        400, "A text with too many characters.", "String should have at most 512 characters.", "metadata.team"
    ),
    "too_many_properties": Code(400, "An object with too many keys.", "Metadata may have 16 keys at most.", "metadata"),
    "invalid_request": Code(
        400,
        "What the server could not make anything of.",
        "Bad Request.",
    ),
    "invalid_idempotency_key": Code(
        400,
        "The Idempotency-Key is too long, empty, or holds control characters.",
        "An idempotency key has 1 to 255 characters, none of them a control character.",
    ),
    "idempotency_key_reused": Code(
        422,
        "The Idempotency-Key was used before, with another body.",
        "This idempotency key was used for another request. Use a new key for a new request.",
    ),
    "previous_response_not_found": Code(
        400,
        "The response to continue from is unknown, another key's, or gone.",
        "There is no such previous response, or it has expired.",
        "previous_response_id",
    ),
    "previous_response_not_completed": Code(
        400,
        "The response to continue from has not completed.",
        "The previous response is not completed. Wait until it is.",
        "previous_response_id",
    ),
    "not_a_stream": Code(
        400,
        "Only a response that was created with `stream: true` has a stream.",
        "This response was not created with `stream: true`. Poll it, or wait for it with `?wait=`.",
        "stream",
    ),
    "illegal_move": Code(
        400,
        "The response can't be cancelled in its status, or the delivery not be replayed.",
        "Cannot cancel a completed response.",
    ),
    # Webhooks
    "invalid_webhook_url": Code(
        400,
        "The URL is none, is not of https, has a user name, a password, a fragment or a port of another protocol, or "
        "its host has no address.",
        "Use https.",
        "url",
    ),
    "webhook_url_not_allowed": Code(
        400,
        "The URL's host is, or has among its addresses, one that is not public.",
        "Use a name all of whose addresses anybody on the internet can reach.",
        "url",
    ),
    "too_many_webhook_endpoints": Code(
        400,
        "The key has as many webhook endpoints as it may have.",
        "An API key may have 100 webhook endpoints. Delete one first.",
    ),
    "webhook_endpoint_disabled": Code(
        400, "The webhook endpoint is disabled.", "This webhook endpoint is disabled. Enable it first."
    ),
    "webhook_endpoint_read_only": Code(
        400,
        "The webhook endpoint came with the `webhook` of single responses.",
        "This endpoint came with responses. Its deliveries can be read and replayed, and no more.",
    ),
    # What is not there
    "model_not_found": Code(
        404,
        "No model of this name is served.",
        "There is no such model here. `GET /v1/models` lists those that are served by name.",
        "model",
        is_request_error=True,
    ),
    "not_found": Code(
        404,
        "The id is unknown, malformed, another key's, or what it named is gone: all look the same.",
        "There is no response with this id.",
    ),
    "unknown_url": Code(404, "There is no such path.", "There is nothing at this address."),
    "method_not_allowed": Code(
        405,
        "The path does not take the method. `Allow` says which it takes.",
        "This address does not take the method. The Allow header says which it takes.",
    ),
    # Too much
    "rate_limit_exceeded": Code(
        429,
        "The key has sent too many requests.",
        "This API key may send 6000/minute of such requests. Wait as long as Retry-After says.",
    ),
    "concurrency_limit_exceeded": Code(
        429,
        "The key has too many responses queued or in progress.",
        "This API key may have 100 responses queued or in progress. Wait for one to end, or cancel one.",
    ),
    "queue_limit_exceeded": Code(
        429,
        "The key has too many responses queued.",
        "This API key may have 100 responses queued. Wait for one to be started, or cancel one.",
    ),
    "overloaded": Code(
        503,
        "More requests come in than the service can answer, or too many responses of all keys are queued.",
        "The service is too busy. Wait as long as Retry-After says, then try again.",
    ),
    "unavailable": Code(
        503, "The database is down or too busy.", "The database is not available. Try again in a few seconds."
    ),
    "server_error": Code(
        500,
        "Something went wrong inside the service.",
        "Something went wrong. Try again; if it recurs, report the request id.",
    ),
    # How a synchronous response failed
    "response_not_finished": Code(
        504,
        "A synchronous response takes longer than a client is kept waiting. It goes on.",
        f"The response is not finished yet and goes on. Get it by its id, {RESPONSE_ID}.",
        of_response=True,
    ),
    "timeout": Code(
        504,
        "The job was stopped at its time limit.",
        "The job was stopped at its time limit. Ask for less output, or have the model's time limit raised.",
        of_response=True,
    ),
    "queue_timeout": Code(
        503,
        "No worker was free to start the job in time.",
        "No worker was free to start the job before its deadline. Submit it again when the service is less busy.",
        of_response=True,
    ),
    "worker_lost": Code(
        500,
        "The worker was lost in every attempt.",
        "The worker was lost in every attempt to run this job. Submit it again; if it recurs, tell the administrator.",
        of_response=True,
    ),
    "upstream_rate_limited": Code(
        429,
        "The model server has refused all attempts for its rate limit.",
        "The model server is at its rate limit. Submit the job again later.",
        of_response=True,
    ),
    "upstream_unavailable": Code(
        502,
        "The model server could not be reached, or failed, in all attempts.",
        "The model server is not available. Submit the job again later.",
        of_response=True,
    ),
    "upstream_error": Code(
        502,
        "The model server refused the request.",
        "The model server refused the request. Check the parameters, or tell the administrator.",
        of_response=True,
    ),
    "upstream_invalid_response": Code(
        502,
        "The model server's answer could not be understood.",
        "The model server's answer is not JSON. Check that the upstream speaks the protocol it is set to.",
        of_response=True,
    ),
    "invalid_prompt": Code(
        400,
        "The model server refused what it was asked.",
        "The model server refused the prompt. Change it before you submit it again.",
        of_response=True,
    ),
    "context_length_exceeded": Code(
        400,
        "The conversation is longer than the model can read.",
        "The prompt is longer than the model can read. Shorten it.",
        of_response=True,
    ),
}
