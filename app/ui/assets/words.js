/** What the page calls things, and what it advises. */

export const STATUSES = {
  queued: 'Queued',
  in_progress: 'Running',
  completed: 'Completed',
  incomplete: 'Cut off',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

/** @param {{status?: string}} job */
export function isActive(job) {
  return job.status === 'queued' || job.status === 'in_progress';
}

const FAILURES = {
  timeout: 'Ask for less, or ask the administrator for a longer limit.',
  queue_timeout: 'Try again when less is going on. If it stays, the administrator can add workers.',
  worker_lost: 'Nothing is wrong with your prompt.',
  upstream_rate_limited: 'Wait a little before you try again, or choose another model.',
  upstream_unavailable: 'Try again in a while, or choose another model.',
  upstream_invalid_response: 'Try again, or choose another model.',
  upstream_error: 'Choose another model, or show this to the administrator.',
  invalid_prompt: 'Change the words of the prompt.',
  context_length_exceeded: 'Shorten the prompt, or choose a model that reads more.',
  server_error: 'If it stays, tell the administrator the id above.',
};

/** What to do about a failed response. @param {{failure_code?: string, code: string}} error */
export function adviceFor(error) {
  return FAILURES[error.failure_code ?? error.code] ?? FAILURES.server_error;
}

const REFUSALS = {
  insufficient_scope: 'Sign in with a key that may do this.',
  model_not_found: 'Choose a model from the list, or correct the name.',
  request_too_large: 'Shorten the prompt.',
  string_too_long: 'Shorten the prompt.',
};

/** The API's message, and what to do on this page. @param {Error & {code?: string}} error */
export function refusal(error) {
  return [error.message, REFUSALS[error.code]].filter(Boolean).join(' ');
}

/** Why a response was cut off. @param {string} reason */
export function cutOff(reason) {
  return reason === 'content_filter'
    ? 'Cut off by the model server’s content filter.'
    : 'Cut off: the answer reached the most tokens that it may have.';
}
