// Summary, views, timeline and how long news takes.

import { byId, clock, count, make, percent, say, time } from './dom.js';
import { counts, movedPart, state } from './model.js';
import { traffic } from './charts.js';

/** Views differ for a moment after each change; after this long it is a split. */
const SPLIT_MS = 2500;
const NAMES_SHOWN = 8;

export function drawHeader() {
  const { status } = state;
  if (!status) return;
  say(byId('app-name'), status.app);
  say(byId('member-name'), status.address);
  say(byId('member-state'), status.state);
  byId('member-state').className = `pill ${status.state === 'ready' ? 'well' : 'warn'}`;
  document.title = `${status.app} · ringpop`;
  const problems = [...status.problems];
  if (status.gossip_stopped) problems.push('Gossip is stopped: this member probes nobody.');
  const box = byId('problems');
  const now = [...box.children].map((line) => line.textContent);
  if (now.join('\n') !== problems.join('\n')) box.replaceChildren(...problems.map((text) => make('p', {}, text)));
}

export const isSplit = () => Boolean(state.checksums?.differsSince) && Date.now() - state.checksums.differsSince > SPLIT_MS;

export function drawFigures() {
  const { alive, suspect, faulty, leave } = counts();
  const groups = state.checksums?.groups.length;
  const shares = state.ring.members.map(({ share }) => share);
  const spread = shares.length > 1 ? Math.max(...shares) * shares.length : null;
  const latest = state.changes.find((change) => change.end !== null);
  const views = groups === undefined ? ['–', ''] : groups === 1 ? ['one', 'well'] : [count(groups), isSplit() ? 'bad' : 'warn'];
  const figures = [
    ['alive', count(alive), alive ? 'well' : ''],
    ['suspect', count(suspect), suspect ? 'warn' : ''],
    ['faulty', count(faulty), faulty ? 'bad' : ''],
    ['left', count(leave), ''],
    ['views', ...views],
    ['largest share ÷ mean', spread ? `${spread.toFixed(2)}×` : '–', ''],
    ['requests', traffic.known ? `${traffic.total.toFixed(traffic.total < 10 ? 1 : 0)}/s` : '–', ''],
    ['last convergence', latest ? time(latest.end) : '–', ''],
  ];
  const box = byId('figures');
  if (box.children.length !== figures.length) {
    box.replaceChildren(...figures.map(() => make('div', { class: 'figure' }, make('b'), make('span'))));
  }
  figures.forEach(([name, value, kind], index) => {
    const [number, label] = box.children[index].children;
    box.children[index].className = `figure ${kind}`;
    say(number, value);
    say(label, name);
  });
}

const names = (list) => (list.length > NAMES_SHOWN ? `${list.slice(0, NAMES_SHOWN).join(', ')} and ${count(list.length - NAMES_SHOWN)} more` : list.join(', '));

export function drawViews() {
  const { checksums } = state;
  if (!checksums) return;
  const { groups, unreached } = checksums;
  const total = groups.reduce((sum, group) => sum + group.members.length, 0);
  const summary = groups.length === 1
    ? `All ${count(total)} that answer have one view`
    : isSplit() ? `Split: ${groups.length} different views` : `${groups.length} views, as for a moment after each change`;
  say(byId('views-note'), unreached.length ? `${summary}; ${count(unreached.length)} gave no answer` : summary);
  const items = groups.map((group, index) => {
    const kind = groups.length === 1 ? 'well' : index === 0 ? 'warn' : isSplit() ? 'bad' : 'warn';
    return make('li', { class: `group ${kind}` }, make('b', {}, `${count(group.members.length)} ${group.members.length === 1 ? 'member' : 'members'}`), make('span', { class: 'quiet' }, ` (${percent(group.members.length / total, 0)}) with `), make('span', { class: 'mono' }, group.membership_checksum), groups.length > 1 ? make('p', {}, names(group.members)) : null);
  });
  if (unreached.length) {
    const first = unreached[0];
    items.push(make('li', { class: 'group bad' }, make('b', {}, `${count(unreached.length)} without an answer`), make('p', {}, `${names(unreached.map(({ address }) => address))}: ${first.reason}`)));
  }
  byId('groups').replaceChildren(...items);
}

export function drawTimeline() {
  const longest = Math.max(1000, ...state.changes.map((change) => change.end ?? Date.now() - change.begun));
  const items = state.changes.slice(0, 6).map((change) => {
    const length = change.end ?? Date.now() - change.begun;
    const what = make('span', { class: 'what', title: change.text }, change.events > 1 ? `${change.text} and ${change.events - 1} more` : change.text);
    what.style.setProperty('--part', `${Math.max(2, (length / longest) * 100)}%`);
    return make('li', {}, make('time', {}, clock(change.at)), what, make('b', {}, change.end === null ? 'goes on' : time(change.end)));
  });
  byId('timeline').replaceChildren(...(items.length ? items : [make('li', {}, make('span', { class: 'quiet' }, ''), make('span', { class: 'quiet' }, 'Nothing has changed since this page is open.'))]));
}

export function drawPropagation(told) {
  const ms = (us) => (us === null ? '–' : time(us / 1000));
  const pair = (name, value) => make('span', {}, make('b', {}, value), name);
  const pairs = [
    pair('median', ms(told.p50_us)),
    pair('99 of 100', ms(told.p99_us)),
    pair('predicted median', ms(told.predicted_p50_us)),
    pair('predicted 99 of 100', ms(told.predicted_p99_us)),
  ];
  const text = told.samples
    ? `From ${count(told.samples)} beacons of other members${told.implausible ? `; ${count(told.implausible)} came with a wrong clock` : ''}.`
    : 'No beacon was received: members send them with --beacons.';
  byId('propagation').replaceChildren(...pairs, make('p', {}, text));
}

export const movedText = () => (state.moved.size ? `, ${percent(movedPart())} of the keys moved` : '');
