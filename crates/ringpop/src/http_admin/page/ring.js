// The ring: each member has an arc as long as its share, zone by zone in the order of addresses. Outside, what
// the last change moved; in the middle, the key that was looked up and the way to its owner.

import { byId, colour, count, make, percent, say, sharp } from './dom.js';
import { movedPart, state } from './model.js';

const TURN = 2 * Math.PI;
/** Members up to which each arc has a name beside it. */
const NAMED_MAX = 16;
const NAME_LENGTH = 22;
/** Hues of zones; told apart with any common colour vision deficiency, and by their order. */
const HUES = [228, 172, 28, 305, 92, 258, 195, 345];
const MOVED_SHOWN_MS = 30_000;

let arcs = [];
let chosen = -1;

const isDark = () => matchMedia('(prefers-color-scheme: dark)').matches;

function fill(zone, index, dark) {
  const zones = state.ring.zones.length;
  const hue = HUES[(zones > 1 ? zone : 0) % HUES.length];
  const light = (dark ? 57 : 55) + (index % 2 ? 4 : -4);
  return `hsl(${hue} ${dark ? 52 : 62}% ${light}%)`;
}

let laidOut = null;

/** Places the arcs, zone by zone, when the ring is another one. */
function layOut() {
  if (laidOut === state.ring) return;
  laidOut = state.ring;
  const zones = new Map(state.ring.zones.map(({ zone }, index) => [zone, index]));
  const zoneOf = (member) => zones.get(member.zone) ?? 0;
  const rank = ({ address }) => state.ranks.get(address) ?? 0;
  const members = [...state.ring.members].sort((a, b) => zoneOf(a) - zoneOf(b) || rank(a) - rank(b));
  let start = 0;
  arcs = members.map((member, index) => {
    const end = start + member.share;
    const arc = { ...member, start, end, zoneIndex: zoneOf(member), index };
    start = end;
    return arc;
  });
  chosen = -1;
}

const angle = (part) => part * TURN - TURN / 4;

function wedge(context, x, y, inner, outer, start, end, gap) {
  const [from, to] = [angle(start) + gap, angle(end) - gap];
  if (to <= from) return;
  context.beginPath();
  context.arc(x, y, outer, from, to);
  context.arc(x, y, inner, to, from, true);
  context.closePath();
  context.fill();
}

export function drawRing() {
  layOut();
  const { context, width, height } = sharp(byId('ring'));
  const dark = isDark();
  const named = arcs.length <= NAMED_MAX && width > 520;
  const outer = Math.min(width / 2 - (named ? 150 : 22), height / 2 - 22);
  const [x, y, inner] = [width / 2, height / 2, outer * 0.7];
  const gap = arcs.length > 1 && arcs.length < 200 ? 0.006 : 0;
  const statuses = state.members;
  for (const arc of arcs) {
    const isSuspect = statuses.get(arc.address)?.status === 'suspect';
    context.fillStyle = isSuspect ? colour('--suspect') : fill(arc.zoneIndex, arc.index, dark);
    const grow = arc.index === chosen ? 5 : 0;
    wedge(context, x, y, inner - grow, outer + grow, arc.start, arc.end, gap);
  }
  if (arcs.length === 0) {
    context.strokeStyle = colour('--line');
    context.lineWidth = outer - inner;
    context.beginPath();
    context.arc(x, y, (outer + inner) / 2, 0, TURN);
    context.stroke();
  }
  drawMoved(context, x, y, outer);
  if (named) drawNames(context, x, y, outer);
  drawLookup(context, x, y, inner);
  drawMiddle(context, x, y, inner);
  describe();
}

function drawMoved(context, x, y, outer) {
  if (Date.now() - state.movedAt > MOVED_SHOWN_MS) return;
  for (const arc of arcs) {
    const moved = state.moved.get(arc.address);
    if (!moved) continue;
    context.fillStyle = colour(moved > 0 ? '--alive' : '--suspect');
    const length = Math.min(Math.abs(moved), arc.share);
    wedge(context, x, y, outer + 8, outer + 13, arc.end - length, arc.end, 0);
  }
}

function drawNames(context, x, y, outer) {
  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  for (const arc of arcs) {
    const at = angle((arc.start + arc.end) / 2);
    const right = Math.cos(at) >= 0;
    context.textAlign = right ? 'left' : 'right';
    const [px, py] = [x + Math.cos(at) * (outer + 20), y + Math.sin(at) * (outer + 20)];
    const name = arc.identity.length > NAME_LENGTH ? `${arc.identity.slice(0, NAME_LENGTH - 1)}…` : arc.identity;
    context.fillStyle = colour('--text');
    context.fillText(name, px, py - 7);
    context.fillStyle = colour('--soft');
    context.fillText(percent(arc.share), px, py + 8);
  }
}

function drawLookup(context, x, y, inner) {
  const owners = state.lookup?.owners ?? [];
  const places = owners.map((owner) => arcs.find((arc) => arc.address === owner)).filter(Boolean);
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  places.forEach((arc, rank) => {
    const at = angle((arc.start + arc.end) / 2);
    const [cos, sin] = [Math.cos(at), Math.sin(at)];
    const from = inner * 0.56;
    context.strokeStyle = colour(rank === 0 ? '--accent' : '--soft');
    context.lineWidth = rank === 0 ? 3 : 1.2;
    context.setLineDash(rank === 0 ? [] : [4, 4]);
    context.beginPath();
    context.moveTo(x + cos * from, y + sin * from);
    context.lineTo(x + cos * (inner - 14), y + sin * (inner - 14));
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = colour(rank === 0 ? '--accent' : '--panel');
    context.beginPath();
    context.arc(x + cos * (inner - 12), y + sin * (inner - 12), 9, 0, TURN);
    context.fill();
    context.stroke();
    context.fillStyle = colour(rank === 0 ? '--accent-text' : '--text');
    context.font = '600 11px system-ui, sans-serif';
    context.fillText(String(rank + 1), x + cos * (inner - 12), y + sin * (inner - 12) + 0.5);
  });
}

function drawMiddle(context, x, y, inner) {
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  const key = state.lookup?.key;
  const [large, small] = key === undefined
    ? [count(arcs.length), arcs.length === 1 ? 'member owns all keys' : 'members own the keys']
    : [key.length > 16 ? `${key.slice(0, 15)}…` : key, state.lookup.owners[0] ?? 'nobody'];
  context.fillStyle = colour('--text');
  context.font = `650 ${key === undefined ? 34 : 19}px system-ui, sans-serif`;
  context.fillText(large, x, y - 9, inner);
  context.fillStyle = colour('--soft');
  context.font = '12.5px system-ui, sans-serif';
  context.fillText(small, x, y + 17, inner * 1.1);
}

/** What the picture shows, for those who do not see it. */
function describe() {
  const shares = arcs.map((arc) => arc.share);
  const range = shares.length ? `, shares from ${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}` : '';
  byId('ring').setAttribute('aria-label', `Ring of ${count(arcs.length)} members${range}. The table of members has each share.`);
  const off = state.members.size - arcs.length;
  const placement = state.ring.placement;
  say(byId('ring-note'), `${placement}${off > 0 ? ` · ${count(off)} off the ring` : ''}`);
  drawLegend();
}

let legend = '';
function drawLegend() {
  const dark = isDark();
  const zones = state.ring.zones.length > 1 ? state.ring.zones.slice(0, HUES.length) : [];
  const items = zones.map(({ zone, members, share }, index) => [fill(index, 0, dark), `${zone ?? 'no zone'}: ${count(members)}, ${percent(share)}`]);
  if (state.movedAt && Date.now() - state.movedAt <= MOVED_SHOWN_MS && state.moved.size) {
    items.push([colour('--alive'), `gained in the last change: ${percent(movedPart())} of all keys`]);
    if ([...state.moved].some(([address, part]) => part < 0 && arcs.some((arc) => arc.address === address))) items.push([colour('--suspect'), 'gave keys away']);
  }
  const text = JSON.stringify(items);
  if (text === legend) return;
  legend = text;
  byId('ring-legend').replaceChildren(...items.map(([paint, label]) => {
    const swatch = make('span', { class: 'swatch', 'aria-hidden': 'true' });
    swatch.style.background = paint;
    return make('li', {}, swatch, label);
  }));
}

function choose(index, announce) {
  chosen = index;
  const tip = byId('ring-tip');
  const arc = arcs[index];
  tip.hidden = !arc;
  if (arc) {
    const moved = state.moved.get(arc.address);
    const lines = [arc.identity === arc.address ? arc.address : `${arc.identity} at ${arc.address}`, `${percent(arc.share, 2)} of the keys, weight ${arc.weight}${arc.zone ? `, zone ${arc.zone}` : ''}`];
    if (moved) lines.push(`${moved > 0 ? 'gained' : 'gave away'} ${percent(Math.abs(moved), 2)} in the last change`);
    tip.textContent = lines.join('\n');
    if (announce) say(byId('ring-live'), lines.join(', '));
  }
  drawRing();
}

/** Puts the note beside the pointer, or beside the arc. */
function place(px, py) {
  const tip = byId('ring-tip');
  const box = byId('ring').getBoundingClientRect();
  tip.style.left = `${Math.max(0, Math.min(px + 12, box.width - tip.offsetWidth))}px`;
  tip.style.top = `${Math.max(0, Math.min(py + 12, box.height - tip.offsetHeight))}px`;
}

export function startRing() {
  const canvas = byId('ring');
  canvas.addEventListener('pointermove', (event) => {
    const box = canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const [dx, dy] = [px - box.width / 2, py - box.height / 2];
    const distance = Math.hypot(dx, dy);
    const radius = box.height / 2;
    const part = ((Math.atan2(dy, dx) + TURN / 4 + TURN) % TURN) / TURN;
    const near = distance < radius && distance > radius * 0.5;
    const found = near ? arcs.findIndex((arc) => part >= arc.start && part < arc.end) : -1;
    if (found !== chosen) choose(found, false);
    place(px, py);
  });
  canvas.addEventListener('pointerleave', () => choose(-1, false));
  canvas.addEventListener('blur', () => choose(-1, false));
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || arcs.length === 0) return;
    event.preventDefault();
    choose((chosen + step + arcs.length) % arcs.length, true);
    const arc = arcs[chosen];
    const at = angle((arc.start + arc.end) / 2);
    place(canvas.clientWidth / 2 + Math.cos(at) * canvas.clientHeight * 0.36, canvas.clientHeight / 2 + Math.sin(at) * canvas.clientHeight * 0.36);
  });
}
