// What is known of the cluster, as this page has heard it. Views draw what is here.

import { naturally } from './dom.js';

export const state = {
  status: null,
  /** Whether this reader may give commands. */
  mayCommand: false,
  members: new Map(),
  /** The place of each address in the order that people expect. */
  ranks: new Map(),
  ring: { members: [], zones: [], placement: '', ring_checksum: '' },
  /** Shares that the last change of the ring moved, by address. */
  moved: new Map(),
  movedAt: 0,
  checksums: null,
  lookup: null,
  changes: [],
};

const CHANGES_KEPT = 12;
const SETTLED_MS = 250;

/** Takes the whole list of members. */
export function setMembers(list) {
  const before = state.members;
  state.members = new Map(list.map((member) => [member.address, withTime(member, before.get(member.address))]));
  if (list.some(({ address }) => !state.ranks.has(address))) rank();
}

/** Comparing texts costs more than all the rest: it is done when an address is new. */
function rank() {
  const sorted = [...state.members.keys()].sort(naturally);
  state.ranks = new Map(sorted.map((address, index) => [address, index]));
}

function withTime(member, before) {
  const since = Date.now() - member.since_ms;
  return { ...member, since, changed: before?.changed ?? 0 };
}

/** Takes an event about one member. */
export function applyMember(event) {
  const known = state.members.get(event.address);
  if (event.after === null) {
    state.members.delete(event.address);
    return;
  }
  const isNew = !known || known.status !== event.after;
  state.members.set(event.address, {
    weight: 1, points: 0, share: 0, off_ring: null, warming: null, damped: false, identity_owner: null,
    ...known,
    address: event.address,
    identity: event.identity,
    status: event.after,
    suspicion: event.after === 'suspect' ? known?.suspicion ?? null : null,
    incarnation: event.incarnation,
    labels: event.labels,
    zone: event.labels.zone ?? null,
    source: event.source,
    cause: event.cause,
    from: event.from,
    since: isNew ? event.unix_ms : known.since,
    changed: isNew ? Date.now() : known.changed,
  });
  if (!state.ranks.has(event.address)) rank();
}

/** Takes the shares, and notes what moved. */
export function setRing(ring) {
  const before = new Map(state.ring.members.map((member) => [member.address, member.share]));
  if (before.size > 0 && ring.ring_checksum !== state.ring.ring_checksum) {
    const moved = new Map();
    for (const { address, share } of ring.members) {
      const difference = share - (before.get(address) ?? 0);
      before.delete(address);
      if (Math.abs(difference) > 1e-9) moved.set(address, difference);
    }
    for (const [address, share] of before) moved.set(address, -share);
    state.moved = moved;
    state.movedAt = Date.now();
  }
  state.ring = ring;
  const shares = new Map(ring.members.map((member) => [member.address, member]));
  for (const member of state.members.values()) {
    const on = shares.get(member.address);
    member.share = on?.share ?? 0;
    member.points = on?.points ?? 0;
    if (on) { member.off_ring = null; member.weight = on.weight; }
  }
}

/** Part of the keys that the last change gave to other members. */
export function movedPart() {
  let part = 0;
  for (const difference of state.moved.values()) if (difference > 0) part += difference;
  return part;
}

/** A change begins, or goes on: until all have one view again. */
export function beginChange(at, text) {
  const latest = state.changes[0];
  if (latest && latest.end === null) {
    latest.last = Date.now();
    latest.events += 1;
    return;
  }
  state.changes.unshift({ at, begun: Date.now(), last: Date.now(), events: 1, text, end: null });
  state.changes.length = Math.min(state.changes.length, CHANGES_KEPT);
}

export const isChanging = () => state.changes.length > 0 && state.changes[0].end === null;

/** Takes a comparison of all members; whether a change is over by it. */
export function setChecksums(checksums) {
  state.checksums = { ...checksums, differsSince: checksums.agree ? null : state.checksums?.differsSince ?? Date.now() };
  const asked = Date.now() - checksums.age_ms;
  const change = state.changes[0];
  if (checksums.agree && isChanging() && asked >= change.last && Date.now() - change.last > SETTLED_MS) {
    change.end = Math.max(asked, change.last) - change.begun;
  }
}

/** Members by status. */
export function counts() {
  const counts = { alive: 0, suspect: 0, faulty: 0, leave: 0, tombstone: 0, unknown: 0 };
  for (const { status } of state.members.values()) counts[status] += 1;
  return counts;
}
