/** The form for a new prompt. What is in it outlives a reload. */
import { byId, element, setText, show } from './dom.js';
import { keep } from './storage.js';

export const DRAFT = 'simmer.draft';
const MODEL = 'simmer.model';
const DOUBLE_CLICK = 800;

export class Composer {
  #submit;
  #submittedAt = -DOUBLE_CLICK;
  #prompt = byId('prompt');
  #instructions = byId('instructions');
  #model = byId('model');
  #other = byId('other-model');

  /** @param {{models: string[], submit: (asked: import('./outbox.js').Asked) => void, signal: AbortSignal}} options */
  constructor({ models, submit, signal }) {
    this.#submit = submit;
    this.#offer(models);
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? '{}');
    this.#fill({ model: localStorage.getItem(MODEL) ?? models[0] ?? '', prompt: '', instructions: '', ...draft });
    const form = byId('composer');
    form.addEventListener('submit', (event) => this.#send(event), { signal });
    form.addEventListener('input', () => this.#keep(), { signal });
    form.addEventListener('keydown', (event) => this.#onKey(event), { signal });
    this.#model.addEventListener('change', () => this.#showOther(true), { signal });
  }

  focus() {
    this.#prompt.focus();
  }

  get isEmpty() {
    return !this.#prompt.value.trim();
  }

  /** Put a prompt back. @param {import('./outbox.js').Asked} body @param {string} [problem] why it was refused */
  edit(body, problem = '') {
    this.#fill({ model: body.model, prompt: body.input, instructions: body.instructions ?? '' });
    this.#keep();
    setText(byId('composer-error'), problem);
    this.focus();
  }

  #offer(models) {
    const options = models.map((name) => element('option', { value: name }, name));
    this.#model.replaceChildren(...options, element('option', { value: '' }, 'Another name…'));
  }

  #fill({ model, prompt, instructions }) {
    this.#prompt.value = prompt;
    this.#instructions.value = instructions;
    byId('more').open = Boolean(instructions);
    this.#model.value = model;
    if (this.#model.selectedIndex < 0) this.#model.value = '';
    this.#other.value = this.#model.value ? '' : model;
    this.#showOther(false);
  }

  #showOther(focus) {
    show(this.#other, !this.#model.value);
    if (focus && !this.#model.value) this.#other.focus();
  }

  #named() {
    return this.#model.value || this.#other.value.trim();
  }

  #keep() {
    setText(byId('composer-error'), '');
    const draft = { model: this.#named(), prompt: this.#prompt.value, instructions: this.#instructions.value };
    keep(DRAFT, JSON.stringify(draft));
  }

  #onKey(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !event.repeat) byId('composer').requestSubmit();
  }

  #send(event) {
    event.preventDefault();
    // The second click of a double click finds the form empty, and means nothing.
    if (performance.now() - this.#submittedAt < DOUBLE_CLICK && this.isEmpty) return;
    const problem = this.#problem();
    if (problem) {
      setText(byId('composer-error'), problem.text);
      problem.at.focus();
      return;
    }
    this.#submittedAt = performance.now();
    const instructions = this.#instructions.value.trim();
    const asked = { model: this.#named(), input: this.#prompt.value, ...(instructions ? { instructions } : {}) };
    localStorage.setItem(MODEL, asked.model);
    this.#prompt.value = '';
    this.#keep();
    this.focus();
    this.#submit(asked);
  }

  #problem() {
    if (this.isEmpty) return { text: 'Write a prompt first.', at: this.#prompt };
    if (!this.#named()) return { text: 'Name a model.', at: this.#other };
    return null;
  }
}
