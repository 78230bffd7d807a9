// The keys of most calls that the member handles, for those who may give commands to it.

import { byId, count, make, percent, say } from './dom.js';
import { get } from './api.js';
import { state } from './model.js';

/** Characters that show nothing, or turn the text around them, are shown by their numbers. */
const visible = (text) => text.replace(/[\p{C}\u2028\u2029]/gu, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);

function name({ key, key_hex: hex, key_bytes: bytes }) {
  const shown = key === null ? `0x${hex}` : visible(key);
  return hex.length === 2 * bytes ? shown : `${shown}… (${count(bytes)} bytes)`;
}

export async function updateHotKeys() {
  const part = byId('hot-keys-part');
  part.hidden = !state.mayCommand;
  if (!state.mayCommand) return;
  const told = await get('hot-keys');
  const seconds = Math.max(told.window_ms, 1) / 1000;
  const note = told.enabled
    ? `Of ${count(told.calls)} calls that this member handled in the last ${seconds.toFixed(0)} s${told.one_in > 1 ? `, from one in ${count(told.one_in)}` : ''}.`
    : 'This member counts no keys: see --hot-keys.';
  say(byId('hot-keys-note'), note);
  const rows = told.keys.map((key) => make('tr', {},
    make('th', { scope: 'row', class: 'mono name' }, make('bdi', {}, name(key))),
    make('td', { class: 'num' }, `${(key.calls / seconds).toFixed(1)}/s`),
    make('td', { class: 'num' }, percent(key.calls / Math.max(told.calls, 1)))));
  byId('hot-keys').replaceChildren(...rows);
  byId('hot-keys-scroll').hidden = rows.length === 0;
}
