// Events as they happen, the latest first.

import { byId, clock, make, once } from './dom.js';

const KEPT = 300;
let waiting = [];

const names = (list) => (list.length > 4 ? `${list.slice(0, 4).join(', ')} and ${list.length - 4} more` : list.join(', '));

/** One sentence, and how it is to look. */
export function sentence(event) {
  switch (event.type) {
    case 'member': {
      const by = event.source && event.source !== event.address ? `, says ${event.source}` : '';
      if (event.after === null) return [`${event.address} is forgotten`, 'quiet'];
      if (event.before === event.after) return [`${event.address} has other labels or a new incarnation`, 'quiet'];
      if (event.before === null) return [`${event.address} joined, ${event.after}`, event.after];
      return [`${event.address} is ${event.after}${by}`, event.after];
    }
    case 'ring': {
      const parts = [['added', event.added], ['removed', event.removed], ['changed', event.updated]];
      return [`Ring: ${parts.filter(([, list]) => list.length).map(([what, list]) => `${what} ${names(list)}`).join('; ') || 'another placement'}`, ''];
    }
    case 'state': return [`The member is ${event.state}`, ''];
    case 'problem': return [`${event.began ? 'Problem' : 'Over'}: ${event.text}`, event.began ? 'faulty' : 'alive'];
    case 'off_ring': return [event.reason ? `${event.address} is off the ring: ${event.reason}` : `${event.address} may be on the ring again`, event.reason ? 'suspect' : 'alive'];
    case 'missed': return [`${event.events} events were missed`, 'suspect'];
    case 'identity': return [`${event.identity} is the identity of ${event.owner} and of ${names(event.others)}`, 'faulty'];
    default: return [event.text ?? event.type, 'quiet'];
  }
}

const draw = once(() => {
  if (waiting.length === 0 || byId('log-pause').checked) return;
  const items = waiting.reverse().map(([at, text, kind]) => make('li', {}, make('time', {}, clock(at)), make('span', { class: kind || null }, text)));
  waiting = [];
  const log = byId('log');
  log.prepend(...items);
  while (log.children.length > KEPT) log.lastChild.remove();
});

export function note(at, [text, kind]) {
  waiting.push([at, text, kind]);
  if (waiting.length > KEPT) waiting.shift();
  draw();
}

export function startLog() {
  byId('log-pause').addEventListener('change', draw);
}
