/** Numbers and times for people. */

const numbers = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${numbers.format(count)} ${count === 1 ? one : many}`;
}

/** `8 s`, `2 min 05 s`, `1 h 04 min`. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours) return `${hours} h ${two(minutes)} min`;
  return minutes ? `${minutes} min ${two(rest)} s` : `${rest} s`;
}

/** The time of day, and the day if it is not today's. @param {number} seconds since 1970 */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

/** When a job ended, if it has. @param {import('./api.js').Job} job */
export function endOf(job) {
  return job.completed_at ?? job.failed_at ?? job.cancelled_at ?? null;
}

/** From its creation to its end, or to now. An `incomplete` one does not tell its end: null. @param {import('./api.js').Job} job */
export function elapsed(job, now) {
  if (job.status === 'incomplete') return null;
  return duration((endOf(job) ?? now) - job.created_at);
}

/** The first line that says something. @param {string} text */
export function firstLine(text) {
  return text.split('\n').find((line) => line.trim())?.trim() ?? '';
}

function two(number) {
  return String(number).padStart(2, '0');
}
