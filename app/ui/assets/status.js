/** How a job stands, in words; the colour and the dot before it come from the style sheet. */
import { setText } from './dom.js';
import { STATUSES } from './words.js';

/** @param {HTMLElement} node @param {import('./api.js').Job} job */
export function drawStatus(node, job) {
  if (node.dataset.status !== job.status) node.dataset.status = job.status;
  const place = job.status === 'queued' && job.queue_position ? `, number ${job.queue_position} in line` : '';
  setText(node, `${STATUSES[job.status] ?? job.status}${place}`);
}
