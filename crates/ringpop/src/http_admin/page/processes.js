// The processes of `ringpop dev`: how each is, and buttons that do to them what its keys do.

import { byId, make, say } from './dom.js';
import { get, post, repeat } from './api.js';

/** What is done to the process that is selected. */
const ONE = [
  ['Kill', 'kill'], ['Stop', 'stop'], ['Suspend', 'suspend'], ['Revive', 'revive'], ['Restart', 'restart'],
  ['Leave', 'leave'], ['Join', 'join'], ['Evict for a minute', 'evict'], ['End the eviction', 'undo-evict'],
  ['Cut off', 'partition'], ['Show its view', 'ask'],
];
/** What is done to the cluster. */
const ALL = [
  ['Add a member', 'add'], ['Cut in two', 'partition'], ['Make whole', 'restore'], ['Revive all', 'revive-all'],
  ['Restart one by one', 'restart-all'], ['Forget faulty members', 'forget'], ['Stop gossip', 'stop-gossip'], ['Start gossip', 'start-gossip'],
];
const RATES = [['No load', 0], ['100 requests a second', 100], ['1,000 requests a second', 1000]];
const PERIOD_MS = 500;
const MESSAGES_KEPT = 100;

const rows = new Map();
let shown = 0;
let again = () => {};

/** The address of the process that is selected. */
const selected = () => byId('process-rows').querySelector('input:checked')?.value ?? null;

async function order(name, path, body, about) {
  const result = byId('process-result');
  try {
    await post(`dev/${path}`, body);
    say(result, about ? `${name}: ${about}` : name);
  } catch (error) {
    say(result, `${name}: ${error.message}`);
  }
  again();
}

function buttons() {
  byId('process-one').replaceChildren(...ONE.map(([name, path]) => make('button', { type: 'button', onclick: () => {
    const address = selected();
    order(name, path, { members: [address] }, address);
  } }, name)));
  byId('process-all').replaceChildren(
    ...ALL.map(([name, path]) => make('button', { type: 'button', onclick: () => order(name, path, {}) }, name)),
    ...RATES.map(([name, rate]) => make('button', { type: 'button', onclick: () => order(name, 'load', { rate }) }, name)),
  );
}

/** A row stays the same element, for the keyboard not to lose its place. */
function row(address) {
  const known = rows.get(address);
  if (known) return known;
  const input = make('input', { type: 'radio', name: 'process', value: address });
  const cells = Array.from({ length: 4 }, (_, index) => make('td', { class: index > 1 ? 'mono' : null }));
  const element = make('tr', { 'data-process': address }, make('th', { scope: 'row', class: 'mono name' }, make('label', { class: 'check' }, input, address)), ...cells);
  rows.set(address, { element, cells, input });
  byId('process-rows').append(element);
  return rows.get(address);
}

function draw(cluster) {
  cluster.processes.forEach((process, index) => {
    const { cells, input } = row(process.address);
    if (index === 0 && selected() === null) input.checked = true;
    const asked = process.is_asked ? ', shown on this page' : '';
    [process.pid === null ? '–' : String(process.pid), process.condition + asked, process.members === null ? '–' : String(process.members), process.checksum ?? '–'].forEach((text, cell) => say(cells[cell], text));
  });
  const parted = cluster.is_partitioned ? ', cut into parts' : '';
  const load = cluster.load ? `, ${cluster.load} requests a second` : '';
  say(byId('processes-note'), `${cluster.agreed ? 'All that run agree' : 'They do not agree'}${parted}${load}`);
  const fresh = cluster.messages.filter(({ number }) => number > shown);
  if (fresh.length === 0) return;
  shown = fresh.at(-1).number;
  const log = byId('process-log');
  log.append(...fresh.map(({ text }) => make('li', {}, text)));
  while (log.children.length > MESSAGES_KEPT) log.firstChild.remove();
  byId('process-box').scrollTop = byId('process-box').scrollHeight;
}

/** Selects the process of a member, where it is one. */
export function selectProcess(address) {
  const known = rows.get(address);
  if (known) known.input.checked = true;
}

let started = false;

/** Shows the part, once somebody may use it. */
export function showProcesses(may) {
  byId('processes').hidden = !may;
  if (!may || started) return;
  started = true;
  buttons();
  again = repeat(async () => draw(await get('dev/cluster')), () => PERIOD_MS);
}
