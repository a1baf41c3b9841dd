/** What is known of one job: times, tokens, attempts, id. */
import { element, setText } from './dom.js';
import { counted, duration, elapsed, endOf, moment } from './format.js';
import { isActive } from './words.js';

/** @param {import('./api.js').Job} job @returns {(string | null)[][]} names and values */
function factsOf(job, now) {
  const { usage } = job;
  const ran = job.started_at && (endOf(job) ?? (isActive(job) ? now : null));
  const found = [
    ['Created', moment(job.created_at)],
    ['Elapsed', elapsed(job, now)],
    ['Waited', job.started_at ? duration(job.started_at - job.created_at) : null],
    ['Ran', ran ? duration(ran - job.started_at) : null],
    ['Tokens', usage?.total_tokens ? `${counted(usage.input_tokens, 'token')} in, ${counted(usage.output_tokens, 'token')} out` : null],
    ['Attempts', job.attempts > 1 ? String(job.attempts) : null],
    ['Kept until', job.expires_at ? moment(job.expires_at) : null],
    ['Id', job.id],
  ];
  return found.filter(([, value]) => value);
}

/** Draw them into a `dl`, and leave alone what is the same. @param {HTMLElement} list @param {import('./api.js').Job} job */
export function drawFacts(list, job, now) {
  const facts = factsOf(job, now);
  const names = facts.map(([name]) => name).join();
  if (!list.children.length || list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...facts.map(([name]) => element('div', { class: name.toLowerCase().replace(" ", "-") }, element('dt', {}, name), element('dd'))));
  }
  facts.forEach(([, value], index) => setText(list.children[index].lastChild, value));
}
