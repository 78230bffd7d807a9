// Commands to the member that is asked, and, in `ringpop dev`, to the processes of all.

import { byId, make, say } from './dom.js';
import { get, post, useToken } from './api.js';
import { state } from './model.js';
import { selectProcess, showProcesses } from './processes.js';

const COMMANDS = [
  ['Heal', 'heal', {}, null],
  ['Forget faulty members', 'reap', {}, 'Have the cluster forget all members that are faulty?'],
  ['Stop gossip', 'gossip', { action: 'stop' }, 'Have this member probe nobody until gossip is started again?'],
  ['Start gossip', 'gossip', { action: 'start' }, null],
  ['Leave the ring', 'leave', {}, 'Have this member leave the ring? It serves on and forwards what it gets.'],
  ['Join again', 'join', {}, null],
  ['Drain', 'drain', {}, 'Take this member off the ring? It serves on and forwards what it gets.'],
  ['End the drain', 'undrain', {}, null],
];

let chosen = null;

/** Whether a person agrees. */
function agreed(question) {
  const dialog = byId('confirm');
  say(byId('confirm-text'), question);
  return new Promise((resolve) => {
    const end = (answer) => () => { resolve(answer); dialog.close(); };
    byId('confirm-yes').onclick = end(true);
    byId('confirm-no').onclick = end(false);
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
    byId('confirm-no').focus();
  });
}

async function run(name, path, body, question) {
  if (question && !(await agreed(question))) return;
  const result = byId('command-result');
  say(result, `${name} …`);
  try {
    const answer = await post(path, body);
    const told = Object.entries(answer).map(([key, value]) => `${key} ${Array.isArray(value) ? value.length : typeof value === 'object' ? 'changed' : value}`);
    say(result, `${name}: done${told.length ? ` (${told.join(', ')})` : ''}`);
  } catch (error) {
    say(result, `${name}: ${error.message}`);
  }
}

const button = ([name, path, body, question]) => make('button', { type: 'button', class: question ? 'danger' : null, onclick: () => run(name, path, body, question) }, name);

export async function updateAccess() {
  const access = await get('access');
  state.mayCommand = access.commands;
  showProcesses(access.controller);
  const note = state.mayCommand ? `to ${state.status?.address ?? 'the member'}` : 'read only';
  say(byId('access-note'), note);
  byId('token-form').hidden = state.mayCommand || access.controller;
  byId('commands').replaceChildren(...(state.mayCommand ? COMMANDS.map(button) : [make('p', { class: 'quiet' }, access.reason ?? '')]));
  drawRowActions();
}

/** What can be done with the member that was chosen in the table. */
export function chooseMember(address) {
  chosen = address;
  selectProcess(address);
  drawRowActions();
}

function drawRowActions() {
  const box = byId('row-actions');
  const actions = [];
  if (chosen && state.mayCommand && ['faulty', 'leave'].includes(state.members.get(chosen)?.status)) {
    actions.push(['Forget it', 'reap', { address: chosen }, `Have the cluster forget ${chosen}?`]);
  }
  if (chosen && state.mayCommand && ['alive', 'suspect'].includes(state.members.get(chosen)?.status)) {
    actions.push(['Evict for an hour', 'evict', { address: chosen, time_ms: 3_600_000 }, `Keep ${chosen} off the ring for an hour?`]);
    actions.push(['End its eviction', 'undo-evict', { address: chosen }, null]);
  }
  box.hidden = !chosen || actions.length === 0;
  box.replaceChildren(make('b', { class: 'mono' }, chosen ?? ''), ...actions.map(button));
}

export function startActions() {
  byId('token-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    useToken(byId('token').value);
    byId('token').value = '';
    try {
      await updateAccess();
      if (!state.mayCommand) say(byId('command-result'), 'This token is not the right one.');
    } catch (error) {
      say(byId('command-result'), error.message);
    }
  });
}
