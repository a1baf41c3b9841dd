/** Signing in and out. All else is in a session, which lives as long as its key. */
import { Api } from './api.js';
import { prepareAppearance } from './appearance.js';
import { DRAFT } from './composer.js';
import { Connection } from './connection.js';
import { byId, setText, show } from './dom.js';
import { ApiError } from './errors.js';
import { counted } from './format.js';
import { confirmed, prepareDialog, say, watchConnection } from './notices.js';
import { Session } from './session.js';
import { refusal } from './words.js';

const STORED = 'simmer.key';
const connection = new Connection();
/** @type {Session | null} */
let session = null;

function showSignIn(problem = '') {
  show(byId('starting'), false);
  show(byId('app'), false);
  show(byId('sign-out'), false);
  show(byId('sign-in'), true);
  problemWithKey(problem);
  byId('key').focus();
}

function problemWithKey(text) {
  setText(byId('key-error'), text);
  byId('key').setAttribute('aria-invalid', String(Boolean(text)));
}

/** @param {string} key @param {string[]} models */
function enter(key, models) {
  show(byId('starting'), false);
  show(byId('sign-in'), false);
  show(byId('sign-out'), true);
  show(byId('app'), true);
  const api = new Api(key, connection, (error) => leave(whatIsWrong(error, { worked: true })));
  session = new Session({ api, connection, models });
  session.start();
}

/** Forget the key, and all that was done with it; but not what somebody is writing, if the key is what is wrong. */
function leave(problem = '') {
  session?.stop();
  session = null;
  for (const name of Object.keys(sessionStorage)) {
    if (name.startsWith('simmer.') && !(problem && name === DRAFT)) sessionStorage.removeItem(name);
  }
  history.replaceState(null, '', location.pathname);
  document.title = 'Simmer';
  showSignIn(problem);
}

/** Ask for the models: this tells whether the key is good. */
async function trySignIn(key) {
  const models = await new Api(key, connection).models();
  sessionStorage.setItem(STORED, key);
  return models;
}

async function submitKey(event) {
  event.preventDefault();
  const key = byId('key').value.trim();
  if (!key) return problemWithKey('Enter your API key.');
  const button = byId('key-submit');
  button.disabled = true;
  problemWithKey('');
  try {
    const models = await trySignIn(key);
    byId('key').value = '';
    enter(key, models);
  } catch (error) {
    problemWithKey(whatIsWrong(error));
    byId('key').focus();
  } finally {
    button.disabled = false;
  }
  return undefined;
}

/** @param {{worked?: boolean}} [options] `worked`: it was good before */
function whatIsWrong(error, { worked = false } = {}) {
  if (!(error instanceof ApiError)) return 'Simmer does not answer. Check your connection, then try again.';
  if (error.code === 'expired_api_key') return 'This key has expired. Ask the administrator for a new one.';
  if (error.wrongKey && worked) return 'This key is not valid any more. Ask the administrator for a new one.';
  if (error.wrongKey) return 'This key is not valid. Check that all of it was copied: it starts with sk-simmer-.';
  return refusal(error);
}

/** After a reload: in with the key of this tab, at once or when the server answers. */
async function comeBack(key) {
  show(byId('starting'), true);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return enter(key, await trySignIn(key));
    } catch (error) {
      if (error instanceof ApiError && !error.passing) return leave(whatIsWrong(error, { worked: true }));
      await connection.pause(attempt, { atLeast: error.retryAfter ?? 0 });
    }
  }
}

async function signOut() {
  const text = `${counted(session?.unsent ?? 0, 'prompt')} will not be sent.`;
  if (session?.unsent && !(await confirmed({ title: 'Sign out?', text, yes: 'Sign out', no: 'Stay' }))) return;
  leave();
  say('You are signed out.');
}

watchConnection(connection);
prepareAppearance();
prepareDialog();
byId('key-form').addEventListener('submit', submitKey);
byId('sign-out').addEventListener('click', signOut);
const stored = sessionStorage.getItem(STORED);
if (stored) comeBack(stored);
else showSignIn();
