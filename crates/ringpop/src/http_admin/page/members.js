// The table of members. Only the rows that can be seen exist: a thousand members cost as much as
// thirty.

import { byId, count, make, naturally, percent, say, time } from './dom.js';
import { counts, state } from './model.js';

const ROW = 34;
const SPARE = 6;
const ORDER = ['faulty', 'suspect', 'alive', 'leave', 'tombstone', 'unknown'];

const COLUMNS = [
  { name: 'Member', value: (m) => state.ranks.get(m.address), cell: addressCell },
  { name: 'Status', value: (m) => ORDER.indexOf(m.status), cell: (m) => make('td', {}, make('span', { class: `status ${m.status}` }, m.status)) },
  { name: 'Share', value: (m) => -m.share, cell: shareCell },
  { name: 'Zone', extra: true, value: (m) => m.zone ?? '', cell: (m) => text(m.zone ?? '–') },
  { name: 'Version', extra: true, value: (m) => m.labels.version ?? '', cell: (m) => text(m.labels.version ?? '–') },
  { name: 'Weight', extra: true, num: true, value: (m) => -m.weight, cell: (m) => text(String(m.weight), 'num') },
  { name: 'Incarnation', extra: true, num: true, value: (m) => -m.incarnation, cell: (m) => text(String(m.incarnation), 'num mono') },
  { name: 'Since', extra: true, value: (m) => -m.since, cell: (m) => text(time(Math.max(0, Date.now() - m.since))) },
  { name: 'Notes', value: (m) => note(m), cell: (m) => text(note(m)) },
];

let sort = { column: 0, down: false };
let rows = [];
let choose = () => {};
let chosen = null;
/** The member whose row the keyboard is at. */
let current = null;
let largest = 0;

function text(content, className) {
  return make('td', { class: className, title: content.length > 18 ? content : null }, content);
}

function addressCell(member) {
  const name = member.identity === member.address ? member.address : `${member.identity} · ${member.address}`;
  const self = member.address === state.status?.address ? ' (asked)' : '';
  // One of them takes part in the order of the keyboard; arrow keys lead to the others.
  const button = make('button', { type: 'button', class: 'pick', tabindex: -1, 'aria-pressed': String(member.address === chosen) }, name + self);
  return make('th', { scope: 'row', class: 'mono name', title: name }, button);
}

function shareCell(member) {
  const bar = make('i', { 'aria-hidden': 'true' });
  bar.style.setProperty('--part', `${largest > 0 ? (member.share / largest) * 100 : 0}%`);
  return make('td', {}, make('span', { class: 'share' }, bar, make('span', { class: 'num' }, percent(member.share, 2))));
}

/** Why a member is as it is. */
function note(member) {
  if (member.suspicion) {
    const { accusers, remaining_ms: remaining } = member.suspicion;
    return `suspected by ${accusers.length || 'others'}, faulty in ${time(remaining)}`;
  }
  if (member.status === 'faulty') return member.source ? `by ${member.source}` : 'does not answer';
  if (member.status === 'leave') return 'left in order';
  if (member.off_ring && member.share === 0) return member.off_ring;
  return member.warming ? `slow start, step ${member.warming}` : '';
}

function matches(member, words, status) {
  if (status === 'off' ? member.share > 0 : status && member.status !== status) return false;
  if (words.length === 0) return true;
  const labels = Object.entries(member.labels).map(([key, value]) => `${key}=${value}`).join(' ');
  const all = `${member.address} ${member.identity} ${member.zone ?? ''} ${labels}`.toLowerCase();
  return words.every((word) => all.includes(word));
}

function select() {
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const status = byId('filter-status').value;
  const { value } = COLUMNS[sort.column];
  const direction = sort.down ? -1 : 1;
  const compare = (a, b) => (typeof a === 'string' ? (a === b ? 0 : naturally(a, b)) : a - b);
  rows = [...state.members.values()].filter((member) => matches(member, words, status));
  const values = new Map(rows.map((member) => [member, value(member)]));
  const rank = (member) => state.ranks.get(member.address);
  rows.sort((a, b) => direction * compare(values.get(a), values.get(b)) || rank(a) - rank(b));
  largest = rows.reduce((most, member) => Math.max(most, member.share), 0);
}

export function drawMembers() {
  select();
  const scroll = byId('members-scroll');
  scroll.classList.toggle('few', rows.length < 11);
  byId('members-table').setAttribute('aria-rowcount', String(rows.length + 1));
  const { alive, suspect, faulty } = counts();
  const shown = rows.length === state.members.size ? '' : `${count(rows.length)} shown of `;
  say(byId('members-note'), `${shown}${count(state.members.size)}: ${count(alive)} alive, ${count(suspect)} suspect, ${count(faulty)} faulty`);
  drawRows();
}

function drawRows() {
  const scroll = byId('members-scroll');
  const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - SPARE);
  const last = Math.min(rows.length, first + Math.ceil((scroll.clientHeight || 442) / ROW) + 2 * SPARE);
  const now = Date.now();
  const next = new Map();
  const shown = rows.slice(first, last).map((member, index) => {
    const row = rowOf(member, first + index + 2, now);
    next.set(member.address, row);
    return row.element;
  });
  const body = byId('members-body');
  const kept = [...body.children].slice(1, -1);
  const isHere = body.contains(document.activeElement);
  drawn = next;
  markCurrent(shown);
  if (kept.length === shown.length && kept.every((element, index) => element === shown[index]) && padded === `${first} ${rows.length}`) return;
  padded = `${first} ${rows.length}`;
  const { scrollTop } = scroll;
  body.replaceChildren(pad(first), ...shown, pad(rows.length - last));
  if (!isHere) return;
  // The browser moved to what was left while the row with the keyboard was away.
  scroll.scrollTop = scrollTop;
  next.get(current)?.element.querySelector('.pick').focus({ preventScroll: true });
}

/** The keyboard comes to the row where it was, or to the first one that exists. */
function markCurrent(shown) {
  const here = shown.find((row) => row.dataset.address === current) ?? shown[0];
  for (const row of shown) row.querySelector('.pick').tabIndex = row === here ? 0 : -1;
}

/** Arrow keys go from row to row, also to those that do not exist yet. */
function step(event) {
  const at = rows.findIndex(({ address }) => address === event.target.closest('tr')?.dataset.address);
  const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 };
  const place = Math.min(rows.length - 1, Math.max(0, places[event.key] ?? -1));
  if (at < 0 || !(event.key in places)) return;
  event.preventDefault();
  current = rows[place].address;
  const scroll = byId('members-scroll');
  const [top, bottom] = [place * ROW, (place + 2) * ROW];
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  if (bottom > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = bottom - scroll.clientHeight;
  drawRows();
  drawn.get(current)?.element.querySelector('.pick').focus({ preventScroll: true });
}

/** The rows in the table, by address, and what stands before and after them. */
let drawn = new Map();
let padded = '';

/** A row is made anew only when it shows something else. */
function rowOf(member, place, now) {
  const classes = [now - member.changed < 1600 ? 'changed' : '', member.address === chosen ? 'chosen' : ''].join(' ').trim();
  const shows = [member.status, member.share, largest, member.zone, member.labels.version, member.weight, member.incarnation, time(Math.max(0, now - member.since)), note(member), member.identity, classes, place].join('|');
  const before = drawn.get(member.address);
  if (before?.shows === shows) return before;
  const cells = COLUMNS.map((column) => {
    const cell = column.cell(member);
    if (column.extra) cell.classList.add('extra');
    return cell;
  });
  return { shows, element: make('tr', { 'aria-rowindex': place, class: classes || null, 'data-address': member.address }, ...cells) };
}

/** Stands for rows that cannot be seen. */
function pad(rows) {
  const row = make('tr', { class: 'pad', 'aria-hidden': 'true' }, make('td', { colspan: COLUMNS.length }));
  row.firstChild.style.height = `${rows * ROW}px`;
  if (rows === 0) row.hidden = true;
  return row;
}

function drawHead() {
  byId('members-head').replaceChildren(...COLUMNS.map((column, index) => {
    const down = index === sort.column ? (sort.down ? 'descending' : 'ascending') : null;
    const button = make('button', { type: 'button', onclick: () => sortBy(index) }, column.name);
    const classes = [`c-${column.name.toLowerCase()}`, column.extra ? 'extra' : '', column.num ? 'num' : ''];
    return make('th', { scope: 'col', 'aria-sort': down, class: classes.join(' ').trim() }, button);
  }));
}

function sortBy(index) {
  sort = { column: index, down: sort.column === index ? !sort.down : false };
  drawHead();
  drawMembers();
  byId('members-head').children[index].firstChild.focus();
}

/** `onChoose` hears of a member that somebody points at. */
export function startMembers(onChoose) {
  choose = onChoose;
  drawHead();
  byId('members-scroll').addEventListener('scroll', () => requestAnimationFrame(drawRows), { passive: true });
  for (const id of ['filter', 'filter-status']) byId(id).addEventListener('input', drawMembers);
  byId('members-body').addEventListener('keydown', step);
  byId('members-body').addEventListener('focusin', (event) => { current = event.target.closest('tr')?.dataset.address ?? current; });
  byId('members-body').addEventListener('click', (event) => {
    const address = event.target.closest('tr')?.dataset.address;
    if (!address) return;
    chosen = chosen === address ? null : address;
    choose(chosen);
    drawRows();
  });
}
