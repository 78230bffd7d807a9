// A listener with the page and a cluster that does not exist, of any size, for tests of the page.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PAGE = fileURLToPath(new URL('../../src/http_admin/page/', import.meta.url));
const KINDS = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
// As the member sends it.
const POLICY = /CONTENT_SECURITY_POLICY,\s*"([^"]*)"/.exec(readFileSync(new URL('../../src/http_admin/guard.rs', import.meta.url), 'utf8'))[1].replace(/\\\s+/g, '');

const checksum = (number) => number.toString(16).padStart(16, '0');

/** A cluster of `count` members, the first of which is asked. */
export class FakeCluster {
  constructor(count, { zones = ['eu-1a', 'eu-1b', 'eu-1c'], now = Date.now() } = {}) {
    this.now = now;
    this.version = 1;
    this.listeners = new Set();
    this.groups = null;
    this.unreached = [];
    this.requests = 0;
    this.members = Array.from({ length: count }, (_, index) => ({
      address: `10.0.${Math.floor(index / 250)}.${(index % 250) + 1}:7100`,
      identity: `worker-${String(index).padStart(count > 100 ? 4 : 2, '0')}`,
      status: 'alive',
      incarnation: now - 3_600_000 + index,
      weight: index % 7 === 3 ? 2 : 1,
      zone: zones[index % zones.length],
      labels: { version: index % 5 === 0 ? '1.9.0' : '1.8.2', zone: zones[index % zones.length] },
      points: 0, warming: null, damped: false, identity_owner: null, since_ms: 3_600_000 - index, source: null, cause: 'join', from: null, suspicion: null,
    }));
  }

  owners() { return this.members.filter(({ status }) => status === 'alive' || status === 'suspect'); }

  shares() {
    const total = this.owners().reduce((sum, { weight }) => sum + weight, 0);
    return new Map(this.owners().map(({ address, weight }) => [address, weight / total]));
  }

  tell(event) {
    const text = `data: ${JSON.stringify({ unix_ms: Date.now(), ...event })}\n\n`;
    for (const listener of this.listeners) listener.write(text);
  }

  /** Gives a member another status, and tells it. */
  change(index, status) {
    const member = this.members[index];
    const before = member.status;
    Object.assign(member, { status, incarnation: member.incarnation + (status === 'alive' ? 1 : 0), source: this.members[0].address, cause: 'gossip', since_ms: 0 });
    member.suspicion = status === 'suspect' ? { accusers: [this.members[0].address], since_ms: 0, remaining_ms: 3200 } : null;
    this.version += 1;
    const { address, identity, incarnation, labels, source, cause } = member;
    this.tell({ type: 'member', address, identity, before, after: status, incarnation, labels, source, cause, from: null });
    const isOn = (status) => status === 'alive' || status === 'suspect';
    if (isOn(before) !== isOn(status)) {
      this.tell({ type: 'ring', added: isOn(status) ? [address] : [], removed: isOn(status) ? [] : [address], updated: [], checksum_before: checksum(this.version - 1), checksum_after: checksum(this.version) });
    }
  }

  answer(path, query) {
    const shares = this.shares();
    const off = { faulty: 'it is faulty', leave: 'it has left' };
    switch (path) {
      case 'status': return { app: 'rides', address: this.members[0].address, state: 'ready', isolation: 'none', instance: checksum(7), uptime_ms: 7_530_000 + (Date.now() - this.now), membership_checksum: checksum(this.version), ring_checksum: checksum(this.version), placement: 'rendezvous', gossip_stopped: false, problems: this.problems ?? [] };
      case 'members': return { membership_checksum: checksum(this.version), members: this.members.map((member) => ({ ...member, share: shares.get(member.address) ?? 0, off_ring: off[member.status] ?? null })) };
      case 'ring': {
        const members = this.owners().map(({ address, identity, zone, weight, points }) => ({ address, identity, zone, weight, points, share: shares.get(address) }));
        const zones = [...new Set(members.map(({ zone }) => zone))].sort().map((zone) => {
          const of = members.filter((member) => member.zone === zone);
          return { zone, members: of.length, share: of.reduce((sum, { share }) => sum + share, 0) };
        });
        return { ring_checksum: checksum(this.version), placement: 'rendezvous', members, zones };
      }
      case 'lookup': {
        const start = [...query.get('key')].reduce((sum, letter) => sum + letter.charCodeAt(0) * 7, 0);
        const owners = this.owners();
        return { key: query.get('key'), ring_checksum: checksum(this.version), owners: [0, 3, 5].slice(0, Number(query.get('n') ?? 1)).map((step) => owners[(start + step) % owners.length].address) };
      }
      case 'checksums': {
        const live = this.owners().map(({ address }) => address);
        const groups = this.groups ?? [live];
        return { agree: groups.length === 1, age_ms: 0, groups: groups.map((members, index) => ({ membership_checksum: checksum(0x5ad3c0ffee + this.version * 977 + index), ring_checksum: checksum(this.version + index), members })), unreached: this.unreached };
      }
      case 'destinations': {
        const destinations = this.owners().slice(1, 9).map(({ address, status }, index) => ({ address, state: status === 'alive' ? 'good' : 'doubtful', circuit_open: false, cause: null, connections: 2, in_flight: (index * 5) % 4 }));
        const wave = 1 + 0.4 * Math.sin(this.requests / 5);
        const shape = [0, 12, 160, 420, 230, 60, 20, 8, 3, 0, 0];
        const bounds = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, null];
        this.buckets = shape.map((count, index) => (this.buckets?.[index] ?? 0) + Math.round(count * (index > 4 ? wave * wave : wave)));
        return { destinations, latency: bounds.map((up_to_us, index) => ({ up_to_us, count: this.buckets[index] })) };
      }
      case 'stats': {
        this.requests += 1;
        const n = this.requests;
        const total = n * 700 + Math.round(240 * Math.sin(n / 4) + 90 * Math.sin(n * 1.3));
        return { uptime_ms: 7_530_000 + (Date.now() - this.now), counters: { 'forward.local': Math.round(total * 0.27), 'forward.forwarded': Math.round(total * 0.73), 'forward.failed': Math.floor(n / 9) } };
      }
      case 'propagation': return { samples: 214, p50_us: 268_000, p99_us: 871_000, predicted_p50_us: 258_000, predicted_p99_us: 900_000, sent: 21, received: 214, implausible: 0 };
      case 'access': return { commands: true, reason: null, controller: this.controller ?? false };
      case 'hot-keys': return { enabled: true, one_in: 1, window_ms: 45_000, calls: 45_000, keys: this.hotKeys ?? [['driver-42', 9000], ['rider-7', 1200]].map(([key, calls]) => ({ key, key_hex: Buffer.from(key).toString('hex'), key_bytes: key.length, calls, calls_error: 0 })) };
      case 'evict': return { until_unix_ms: Date.now() + 3_600_000 };
      case 'dev/cluster': return this.controller ? {
        processes: this.members.map(({ address, status }, index) => ({ address, pid: status === 'faulty' ? null : 4000 + index, condition: status === 'faulty' ? 'killed (signal 9)' : 'ready', members: status === 'faulty' ? null : this.members.length, checksum: status === 'faulty' ? null : checksum(this.version), is_asked: index === 0 })),
        agreed: true, is_partitioned: false, load: 0, messages: [{ number: 1, text: 'all agree' }],
      } : null;
      default: return null;
    }
  }

  /** Serves on a free port of loopback. */
  serve() {
    const server = createServer((request, response) => {
      const url = new URL(request.url, 'http://localhost');
      response.setHeader('content-security-policy', POLICY);
      if (url.pathname === '/api/v1/events') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(':\n\n');
        this.listeners.add(response);
        request.on('close', () => this.listeners.delete(response));
        return;
      }
      if (url.pathname.startsWith('/api/v1/')) {
        const answer = this.answer(url.pathname.slice('/api/v1/'.length), url.searchParams);
        response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer ?? { error: { status: 404, message: 'nothing' } }));
        return;
      }
      const name = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
      response.writeHead(200, { 'content-type': `${KINDS[name.split('.').at(-1)]}; charset=utf-8` });
      response.end(readFileSync(PAGE + name.replaceAll('..', '')));
    });
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve({ url: `http://127.0.0.1:${server.address().port}/`, close: () => { server.closeAllConnections(); server.close(); } }));
    });
  }
}
