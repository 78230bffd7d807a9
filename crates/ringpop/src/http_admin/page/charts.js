// Lines over the last two minutes, and the counters that they are made of.

import { byId, colour, make, say, sharp, time } from './dom.js';
import { get } from './api.js';

const KEPT = 60;
/** A line of fewer samples begins in the middle. */
const SHOWN_MIN = 20;
const RATES = [
  { name: 'handled here', paint: '--accent', counters: ['forward.local'] },
  { name: 'forwarded', paint: '--alive', counters: ['forward.forwarded'] },
  { name: 'failed', paint: '--faulty', counters: ['forward.failed', 'forward.refused', 'forward.deadlines_exceeded'] },
];
const LATENCIES = [{ name: 'median', paint: '--accent', part: 0.5 }, { name: '99 of 100', paint: '--suspect', part: 0.99 }];

let last = null;
const samples = [];
let lastBuckets = null;
const latencies = [];
export const traffic = { total: 0, retries: 0, p99: null, known: false };

/** Another member counts: what the former one counted is no beginning. */
export function forgetTraffic() {
  last = null;
  lastBuckets = null;
}

/** Asks for the counters and draws. */
export async function updateTraffic() {
  const [stats, destinations] = await Promise.all([get('stats', { prefix: 'forward.' }), get('destinations')]);
  note(stats);
  noteLatency(destinations.latency);
  drawDestinations(destinations.destinations);
  const open = destinations.destinations.filter((it) => it.circuit_open).length;
  say(byId('forward-note'), open ? `${open} circuits are open` : traffic.known ? `${traffic.total.toFixed(1)} requests/s` : '');
  drawCharts();
}

function note({ uptime_ms: uptime, counters }) {
  const sum = (names) => names.reduce((sum, name) => sum + (counters[name] ?? 0), 0);
  const values = RATES.map(({ counters: names }) => sum(names));
  // A shorter uptime than before is another process.
  if (last && uptime > last.uptime) {
    const seconds = (uptime - last.uptime) / 1000;
    const rates = values.map((value, index) => Math.max(0, value - last.values[index]) / seconds);
    samples.push(rates);
    if (samples.length > KEPT) samples.shift();
    traffic.total = rates[0] + rates[1];
    traffic.known = true;
  }
  traffic.retries = sum(['forward.retried', 'forward.retries']);
  last = { uptime, values };
}

function noteLatency(buckets) {
  const counts = buckets.map(({ count }) => count);
  const bounds = buckets.map(({ up_to_us: bound }) => (bound === null ? null : bound / 1000));
  if (lastBuckets && counts.length === lastBuckets.length) {
    const recent = counts.map((count, index) => Math.max(0, count - lastBuckets[index]));
    latencies.push(LATENCIES.map(({ part }) => quantile(recent, bounds, part)));
    if (latencies.length > KEPT) latencies.shift();
    traffic.p99 = latencies.at(-1)[1];
  }
  lastBuckets = counts;
}

/** The time that this part of the attempts does not exceed, as exact as the buckets are. */
function quantile(counts, bounds, part) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let rest = total * part;
  for (let index = 0; index < counts.length; index += 1) {
    if (counts[index] >= rest) {
      const low = index === 0 ? 0 : bounds[index - 1];
      const high = bounds[index] ?? low * 2;
      return low + ((high - low) * rest) / counts[index];
    }
    rest -= counts[index];
  }
  return bounds.at(-2);
}

export function drawCharts() {
  lines('rates', samples, RATES, (value) => `${value.toFixed(value < 10 ? 1 : 0)}/s`, 'Requests per second');
  lines('latency', latencies, LATENCIES, time, 'Latency of forwarded requests');
}

function lines(id, values, kinds, unit, title) {
  const { context, width, height } = sharp(byId(id));
  const most = Math.max(1e-9, ...values.flat().filter((value) => value !== null));
  const top = 8;
  context.strokeStyle = colour('--line');
  context.lineWidth = 1;
  context.beginPath();
  for (const part of [0, 0.5, 1]) {
    const y = Math.round(top + (height - top - 2) * part) + 0.5;
    context.moveTo(0, y);
    context.lineTo(width, y);
  }
  context.stroke();
  kinds.forEach(({ paint }, kind) => {
    context.strokeStyle = colour(paint);
    context.lineWidth = 1.8;
    context.lineJoin = 'round';
    context.beginPath();
    let down = false;
    values.forEach((sample, index) => {
      const value = sample[kind];
      if (value === null) { down = false; return; }
      const x = width - ((values.length - 1 - index) / (Math.max(values.length, SHOWN_MIN) - 1)) * width;
      const y = height - 2 - (value / most) * (height - top - 2);
      if (down) context.lineTo(x, y); else context.moveTo(x, y);
      down = true;
    });
    context.stroke();
  });
  const now = values.at(-1);
  const parts = kinds.map(({ name, paint }, kind) => {
    const swatch = make('i', { class: 'swatch', 'aria-hidden': 'true' });
    swatch.style.background = colour(paint);
    const value = now?.[kind];
    return [make('span', {}, swatch, `${name} ${value === null || value === undefined ? '–' : unit(value)}`), value];
  });
  byId(`${id}-caption`).replaceChildren(...parts.map(([part]) => part));
  const told = kinds.map(({ name }, kind) => `${name} ${parts[kind][1] == null ? 'none' : unit(parts[kind][1])}`);
  byId(id).setAttribute('aria-label', `${title}: ${told.join(', ')}`);
}

function drawDestinations(destinations) {
  const order = (it) => (it.circuit_open ? 0 : it.state === 'good' ? 2 : 1);
  const sorted = [...destinations].sort((a, b) => order(a) - order(b) || b.in_flight - a.in_flight).slice(0, 100);
  const rows = sorted.map((it) => {
    const circuit = it.circuit_open ? make('span', { class: 'status faulty', title: it.cause }, 'open') : make('span', { class: it.state === 'good' ? 'status alive' : 'status suspect' }, it.state === 'good' ? 'closed' : it.state);
    return make('tr', {}, make('th', { scope: 'row', class: 'mono name' }, it.address), make('td', {}, circuit), make('td', { class: 'num' }, String(it.connections)), make('td', { class: 'num' }, String(it.in_flight)));
  });
  if (rows.length === 0) rows.push(make('tr', {}, make('td', { colspan: 4 }, 'Nothing was forwarded yet.')));
  byId('destinations').replaceChildren(...rows);
}
