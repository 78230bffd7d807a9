// Puts the parts together: what is asked when, and what is drawn when it has come.

import { byId, once, say } from './dom.js';
import { get, repeat, watch } from './api.js';
import { applyMember, beginChange, isChanging, setChecksums, setMembers, setRing, state } from './model.js';
import { drawRing, startRing } from './ring.js';
import { drawMembers, startMembers } from './members.js';
import { drawCharts, forgetTraffic, updateTraffic } from './charts.js';
import { drawFigures, drawHeader, drawPropagation, drawTimeline, drawViews } from './panels.js';
import { updateHotKeys } from './hot-keys.js';
import { startLookup } from './lookup.js';
import { note, sentence, startLog } from './log.js';
import { chooseMember, startActions, updateAccess } from './actions.js';

/** Clusters up to this size are asked for their checksums every second. */
const SMALL = 100;
const TICK_MS = 1000;
/** People read no faster, and a burst of changes must not keep the browser busy. */
const DRAW_PAUSE_MS = 200;

const draw = once(() => {
  drawHeader();
  drawFigures();
  drawRing();
  drawMembers();
  drawViews();
  drawTimeline();
}, DRAW_PAUSE_MS);

const lookUpAgain = startLookup(once(drawRing));

const changing = () => {
  if (isChanging()) return state.members.size > SMALL ? 1500 : 400;
  return state.members.size > SMALL ? 5000 : 1000;
};

async function loadAll() {
  const [status, members, ring] = await Promise.all([get('status'), get('members'), get('ring')]);
  takeStatus(status);
  setMembers(members.members);
  setRing(ring);
  draw();
  performance.mark('members-shown');
}

/** When another member answers than before, its events are read from now on. */
function takeStatus(status) {
  const before = state.status;
  state.status = status;
  if (before && before.address !== status.address) {
    forgetTraffic();
    readAgain();
  }
  draw();
}

let ringWanted = false;
let ringLoads = false;

/** Asks for the shares, not more often than they can come. */
async function loadRing() {
  ringWanted = true;
  if (ringLoads) return;
  ringLoads = true;
  while (ringWanted) {
    ringWanted = false;
    try {
      setRing(await get('ring'));
      draw();
      lookUpAgain();
    } catch { /* asked again with the next change */ }
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
  ringLoads = false;
}

function told(event) {
  const words = sentence(event);
  note(event.unix_ms, words);
  if (event.type === 'member') {
    applyMember(event);
    if (event.before !== event.after) {
      beginChange(event.unix_ms, words[0]);
      compare();
    }
  }
  if (event.type === 'ring') loadRing();
  if (event.type === 'off_ring' || event.type === 'missed' || event.type === 'identity') loadAll().catch(() => {});
  if (event.type === 'state' || event.type === 'problem') get('status').then(takeStatus, () => {});
  draw();
}

function connected(is) {
  byId('connection').className = `live ${is ? 'on' : 'off'}`;
  say(byId('connection-text'), is ? 'Live' : 'No connection: trying again');
}

updateAccess().catch(() => {});
startRing();
startMembers(chooseMember);
startLog();
startActions();
const compare = repeat(async () => { setChecksums(await get('checksums')); draw(); }, changing);
const readAgain = watch({
  opened: () => { connected(true); loadAll().then(updateAccess).catch(() => connected(false)); },
  closed: () => connected(false),
  told,
});
repeat(updateTraffic, () => 2000);
repeat(updateHotKeys, () => 3000);
repeat(async () => drawPropagation(await get('propagation')), () => 5000);
repeat(async () => takeStatus(await get('status')), () => 2000);
// What is suspect, and since when, changes without events.
repeat(async () => {
  if ([...state.members.values()].some((member) => member.status === 'suspect')) setMembers((await get('members')).members);
  if (state.members.size > 0) setRingShares();
  draw();
}, () => (state.members.size > SMALL ? 5 * TICK_MS : TICK_MS));

/** The list of members has shares of its own; those of the ring are the newer ones. */
function setRingShares() { setRing(state.ring); }

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { draw(); drawCharts(); });
new ResizeObserver(() => { draw(); drawCharts(); }).observe(document.body);
