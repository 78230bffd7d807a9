// The page in a headless browser: `node --test crates/ringpop/tests/browser/`.
//
// RINGPOP_BROWSER_MODULES is a directory with the packages playwright-core and axe-core,
// RINGPOP_BROWSER the browser, RINGPOP_COMMAND the program `ringpop`. With RINGPOP_SCREENSHOTS the
// pictures of the documentation are made in that directory.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { FakeCluster } from './fake.mjs';

const modules = createRequire(`${process.env.RINGPOP_BROWSER_MODULES}/`);
const { chromium } = modules('playwright-core');
const axe = readFileSync(modules.resolve('axe-core/axe.min.js'), 'utf8');
const command = process.env.RINGPOP_COMMAND;
const screenshots = process.env.RINGPOP_SCREENSHOTS;
/** The bars want a machine that does nothing else: `RINGPOP_BARS` decides them, an ordinary run allows four times as much. */
const SLACK = process.env.RINGPOP_BARS ? 1 : 4;
const DESKTOP = { width: 1440, height: 1000 };
const PHONE = { width: 390, height: 844 };
const PATIENCE = 60_000;

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.RINGPOP_BROWSER ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});
after(() => browser.close());

/** A page, and the complaints of its console. */
async function open(url, options = {}) {
  // Axe is put into the page, which the policy forbids to all others.
  const context = await browser.newContext({ viewport: DESKTOP, bypassCSP: options.axe, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const { origin } = new URL(url);
  page.on('request', (request) => { if (!request.url().startsWith(`${origin}/`)) complaints.push(`asks for ${request.url()}`); });
  await page.goto(url);
  await page.waitForSelector('#connection.on');
  await page.waitForSelector('#members-body tr[data-address]');
  return { page, complaints, close: () => context.close() };
}

async function withFake(count, run) {
  const cluster = new FakeCluster(count);
  const served = await cluster.serve();
  try { await run(cluster, served.url); } finally { served.close(); }
}

const rows = (page) => page.locator('#members-body tr[data-address]');
const status = (page, address) => page.locator(`#members-body tr[data-address="${address}"] .status`);

test('it loads without a complaint, and shows members, shares and views', () => withFake(3, async (cluster, url) => {
  const { page, complaints, close } = await open(url);
  assert.equal(await rows(page).count(), 3);
  await page.waitForFunction(() => document.querySelector('#views-note').textContent.includes('All 3'));
  assert.match(await page.locator('#ring').getAttribute('aria-label'), /Ring of 3 members/);
  assert.deepEqual(complaints, []);
  await close();
}));

test('changes are shown at once, and what moved', () => withFake(12, async (cluster, url) => {
  const { page, complaints, close } = await open(url);
  const { address } = cluster.members[4];
  for (const next of ['suspect', 'faulty']) {
    cluster.change(4, next);
    await page.waitForFunction(([address, next]) => document.querySelector(`tr[data-address="${address}"] .status`)?.textContent === next, [address, next], { timeout: 1000 * SLACK });
  }
  await page.waitForFunction(() => document.querySelector('#ring-legend').textContent.includes('gained in the last change'));
  await page.waitForFunction(() => /ms|s$/.test(document.querySelector('#timeline b')?.textContent ?? ''));
  assert.match(await page.locator('#log').textContent(), /10\.0\.0\.5:7100 is faulty, says 10\.0\.0\.1:7100/);
  assert.deepEqual(complaints, []);
  await close();
}));

test('a split is flagged within five seconds', () => withFake(6, async (cluster, url) => {
  const { page, close } = await open(url);
  const all = cluster.owners().map(({ address }) => address);
  const begun = Date.now();
  cluster.groups = [all.slice(0, 4), all.slice(4)];
  await page.waitForFunction(() => document.querySelector('#views-note').textContent.startsWith('Split: 2'));
  console.log(`# flagged after ${Date.now() - begun} ms`);
  assert.ok(Date.now() - begun < 5000 * SLACK, `${Date.now() - begun} ms`);
  const bad = await page.locator('#groups .group.bad').textContent();
  assert.match(bad, /2 members/);
  await close();
}));

test('what members say is shown as text and runs nothing', () => withFake(3, async (cluster, url) => {
  const evil = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>';
  cluster.members[1].identity = evil;
  cluster.members[1].labels.version = evil;
  cluster.members[2].zone = evil;
  cluster.problems = [evil];
  const hot = (key) => ({ key, key_hex: Buffer.from(key).toString('hex'), key_bytes: key.length, calls: 10, calls_error: 0 });
  cluster.hotKeys = [hot(evil), hot('\u202egnp.exe'), { ...hot(''), key: null, key_hex: 'ff00', key_bytes: 2 }];
  const { page, complaints, close } = await open(url);
  cluster.tell({ type: 'problem', began: true, text: evil });
  cluster.tell({ type: 'membership', name: 'x', text: evil });
  await page.fill('#lookup-key', evil);
  await page.press('#lookup-key', 'Enter');
  await page.waitForFunction(() => document.querySelector('#problems').textContent.includes('<img'));
  await page.waitForFunction(() => document.querySelector('#log').textContent.includes('<script>'));
  await page.waitForFunction(() => document.querySelector('#hot-keys').textContent.includes('<img'));
  const keys = await page.locator('#hot-keys').textContent();
  assert.ok(keys.includes('\\u{202e}gnp.exe') && keys.includes('0xff00'), keys);
  assert.equal(await page.evaluate(() => window.evil), undefined);
  assert.equal(await page.locator('main img, main script').count(), 0);
  assert.deepEqual(complaints, []);
  await close();
}));

/** The best of some attempts: what others do on this machine is not measured. */
async function best(attempt, better) {
  const values = [];
  for (let run = 0; run < 3 && !values.some(better); run += 1) values.push(await attempt());
  return values;
}

const framesPerSecond = (page) => page.evaluate(() => new Promise((resolve) => {
  let frames = 0;
  const begun = performance.now();
  const next = () => {
    frames += 1;
    const took = performance.now() - begun;
    if (took < 3000) requestAnimationFrame(next); else resolve(frames / (took / 1000));
  };
  requestAnimationFrame(next);
}));

test('a thousand members are there within two seconds and stay smooth while ten change each second', () => withFake(1000, async (cluster, url) => {
  let opened;
  const times = await best(async () => {
    await opened?.close();
    opened = await open(url);
    await opened.page.waitForFunction(() => document.querySelector('#members-note').textContent.startsWith('1,000'));
    return opened.page.evaluate(() => performance.getEntriesByName('members-shown')[0].startTime);
  }, (time) => time < 2000 * SLACK);
  console.log(`# ${times.map((time) => time.toFixed(0))} ms until a thousand members are shown`);
  assert.ok(Math.min(...times) < 2000 * SLACK, `${times} ms`);
  const { page, complaints, close } = opened;
  const changes = setInterval(() => {
    const index = 1 + Math.floor(Math.random() * 999);
    cluster.change(index, cluster.members[index].status === 'alive' ? 'suspect' : 'alive');
  }, 100);
  const rates = await best(() => framesPerSecond(page), (frames) => frames >= 30 / SLACK);
  clearInterval(changes);
  console.log(`# ${rates.map((rate) => rate.toFixed(1))} frames a second`);
  assert.ok(Math.max(...rates) >= 30 / SLACK, `${rates} frames a second`);
  assert.ok(await rows(page).count() < 60, 'rows that cannot be seen do not exist');
  await page.fill('#filter', 'worker-0999');
  await page.waitForFunction(() => document.querySelectorAll('#members-body tr[data-address]').length === 1);
  assert.deepEqual(complaints, []);
  await close();
}));

for (const [name, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: PHONE }]]) {
  test(`axe finds nothing: ${name}`, () => withFake(30, async (cluster, url) => {
    // As in `ringpop dev`, which shows more.
    cluster.controller = true;
    const { page, close } = await open(url, { axe: true, ...options });
    await page.waitForSelector('#process-rows tr[data-process]');
    cluster.change(3, 'suspect');
    cluster.change(4, 'faulty');
    cluster.change(5, 'leave');
    const all = cluster.owners().map(({ address }) => address);
    cluster.groups = [all.slice(0, 20), all.slice(20)];
    cluster.problems = ['Something is wrong.'];
    await page.fill('#lookup-key', 'driver-42');
    await page.press('#lookup-key', 'Enter');
    await page.locator('#members-body tr[data-address]').nth(4).click();
    await page.waitForFunction(() => document.querySelector('#problems').textContent !== '');
    // Colours that fade are none that stay.
    await page.waitForTimeout(2000);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
    const width = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(width <= 0, `the page is ${width} pixels wider than the window`);
    await close();
  }));
}

test('everything can be reached by the keyboard, and the ring speaks', () => withFake(5, async (cluster, url) => {
  cluster.controller = true;
  const { page, close } = await open(url);
  await page.waitForSelector('#process-rows tr[data-process]');
  const reached = new Set();
  for (let step = 0; step < 90; step += 1) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent || document.activeElement.value));
  }
  for (const wanted of ['ring', 'lookup-key', 'Look up', 'filter', 'filter-status', 'members-scroll', 'Status', 'log-box', 'Heal', cluster.members[0].address, 'Kill', 'Evict for a minute', 'Cut in two', 'process-box']) {
    assert.ok(reached.has(wanted), `${wanted}: ${[...reached]}`);
  }
  await page.focus('#ring');
  await page.keyboard.press('ArrowRight');
  assert.match(await page.locator('#ring-live').textContent(), /worker-\d+ at 10\.0\.0\.\d:7100, [\d.]+ % of the keys/);
  await close();
}));

test('a member far down is chosen by the keyboard, and evicted', () => withFake(300, async (cluster, url) => {
  const { page, complaints, close } = await open(url);
  await page.focus('#members-scroll');
  await page.keyboard.press('Tab');
  while (await page.evaluate(() => document.activeElement.closest('#members-body') === null)) await page.keyboard.press('Tab');
  await page.keyboard.press('End');
  const last = await page.evaluate(() => document.activeElement.closest('tr').dataset.address);
  assert.equal(last, cluster.members.at(-1).address);
  await page.keyboard.press('ArrowUp');
  // A row that is drawn anew keeps the keyboard.
  cluster.change(298, 'suspect');
  await page.waitForFunction((address) => document.querySelector(`tr[data-address="${address}"] .status`)?.textContent === 'suspect', cluster.members[298].address);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#row-actions:not([hidden])');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-pressed')), 'true');
  await page.getByRole('button', { name: 'Evict for an hour' }).click();
  const sent = page.waitForRequest((request) => request.url().endsWith('/api/v1/evict'));
  await page.keyboard.press('Tab');
  await page.getByRole('button', { name: 'Do it' }).click();
  assert.deepEqual((await sent).postDataJSON(), { address: cluster.members[298].address, time_ms: 3_600_000 });
  await page.waitForFunction(() => document.querySelector('#command-result').textContent.includes('done'));
  assert.deepEqual(complaints, []);
  await close();
}));

// --- With real members ---

async function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
}

/** The first of so many ports that are free, with those 1,000 above them. */
async function freeBlock(count) {
  const isFree = (port) => new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
  for (let base = 18_100; base < 18_900; base += count) {
    const ports = Array.from({ length: count }, (_, index) => [base + index, base + index + 1000]).flat();
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('no ports are free');
}

/** Members in processes of their own, and the URL of the first one's page. */
async function realCluster(count) {
  const ports = [];
  for (let index = 0; index < count + 1; index += 1) ports.push(await freePort());
  const addresses = ports.slice(0, count).map((port) => `127.0.0.1:${port}`);
  const page = `127.0.0.1:${ports[count]}`;
  const children = addresses.map((address, index) => spawn(command, ['node', '--listen', address, '--peers', addresses.join(','), '--preset', 'local', '--admin-loopback', ...(index === 0 ? ['--admin-http', page] : [])], { stdio: 'ignore' }));
  const url = `http://${page}/`;
  const ask = async (path) => (await fetch(`${url}api/v1/${path}`)).json();
  const begun = Date.now();
  for (;;) {
    const members = await ask('members').catch(() => null);
    if (members?.members.filter((member) => member.status === 'alive').length === count) break;
    assert.ok(Date.now() - begun < PATIENCE, 'the members do not find each other');
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  // What one of them sees, the others may not have heard of yet.
  await promisify(execFile)(command, ['wait', addresses[0], '--members', String(count), '--converged']);
  return { addresses, children, url, ask, close: () => children.forEach((child) => child.kill('SIGKILL')) };
}

/** `ringpop dev` with so many members, and the URL of its dashboard. */
async function startDev(count) {
  const base = await freeBlock(count);
  const dev = spawn(command, ['dev', '--nodes', String(count), '--base-port', String(base), '--json'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => { dev.on('exit', resolve); });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: dev.stdout }).on('line', (line) => {
      const event = JSON.parse(line);
      if (event.event === 'dashboard') resolve(event.url);
    });
    dev.on('exit', () => reject(new Error('dev has ended')));
  });
  const begun = Date.now();
  while (!(await fetch(new URL('/api/v1/status', url)).catch(() => null))?.ok) {
    assert.ok(Date.now() - begun < PATIENCE, 'no member answers');
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  return { url, end: () => { dev.kill('SIGTERM'); return ended; } };
}

const live = { skip: !command && 'RINGPOP_COMMAND is not set' };

test('a killed member is shown faulty within a second of what the member asked knows', live, async () => {
  const cluster = await realCluster(4);
  try {
    const { page, complaints, close } = await open(cluster.url);
    const victim = cluster.addresses[2];
    await page.evaluate((victim) => {
      window.seen = null;
      const look = () => {
        const row = document.querySelector(`tr[data-address="${victim}"]`);
        if (row?.querySelector('.status').textContent === 'faulty') {
          window.seen = Date.now();
          window.row = row.textContent;
        } else requestAnimationFrame(look);
      };
      look();
    }, victim);
    cluster.children[2].kill('SIGKILL');
    const begun = Date.now();
    let known = null;
    while (known === null) {
      const { members } = await cluster.ask('members?status=faulty');
      if (members.some(({ address }) => address === victim)) known = Date.now();
      assert.ok(Date.now() - begun < PATIENCE, 'it is never found faulty');
    }
    await page.waitForFunction(() => window.seen !== null);
    const { seen, row } = await page.evaluate(() => ({ seen: window.seen, row: window.row }));
    assert.doesNotMatch(row, /faulty in/, 'the suspicion is over');
    console.log(`# faulty ${known - begun} ms after the kill, on the page ${seen - known} ms later`);
    assert.ok(seen - known < 1000 * SLACK, `${seen - known} ms`);
    assert.deepEqual(complaints, []);
    await close();
  } finally { cluster.close(); }
});

test('the page finds the owners that the command finds', live, async () => {
  const cluster = await realCluster(4);
  try {
    const { page, close } = await open(cluster.url);
    const keys = Array.from({ length: 100 }, (_, index) => `key ${index}/ü&=`);
    const lookups = await promisify(execFile)('sh', ['-c', 'for key in "$@"; do "$0" lookup "$RINGPOP_ASKED" "$key" --json || exit; done', command, ...keys], { env: { ...process.env, RINGPOP_ASKED: cluster.addresses[1] } });
    const owners = lookups.stdout.trim().split('\n').map((line) => JSON.parse(line).owners[0]);
    assert.equal(owners.length, keys.length);
    for (const [index, key] of keys.entries()) {
      await page.fill('#lookup-key', key);
      await page.press('#lookup-key', 'Enter');
      await page.waitForFunction((wanted) => document.querySelector('#owner')?.textContent === wanted, owners[index], { timeout: 10_000 });
    }
    await close();
  } finally { cluster.close(); }
});

test('the dashboard of dev kills a member and revives it, and goes on with another one', live, async () => {
  const { url, end } = await startDev(3);
  try {
    const { page, complaints, close } = await open(url);
    await page.waitForSelector('#process-rows tr:nth-child(3)');
    const asked = await page.locator('#member-name').textContent();
    await page.check(`input[name=process][value="${asked}"]`);
    await page.getByRole('button', { name: 'Kill' }).click();
    await page.waitForFunction((asked) => document.querySelector(`tr[data-process="${asked}"]`).textContent.includes('killed (signal 9)'), asked);
    await page.waitForFunction((asked) => document.querySelector('#member-name').textContent !== asked, asked);
    await page.waitForFunction((asked) => document.querySelector(`tr[data-address="${asked}"] .status`)?.textContent === 'faulty', asked);
    await page.getByRole('button', { name: 'Revive', exact: true }).click();
    await page.waitForFunction((asked) => document.querySelector(`tr[data-address="${asked}"] .status`)?.textContent === 'alive', asked);
    await page.waitForFunction(() => document.querySelector('#processes-note').textContent.startsWith('All that run agree'));
    // That a member is gone is the only complaint.
    const others = complaints.filter((text) => !/503|ERR_INCOMPLETE_CHUNKED|504/.test(text));
    assert.deepEqual(others, []);
    await close();
  } finally { await end(); }
});

// --- For the documentation ---

const pictured = { skip: !screenshots && 'RINGPOP_SCREENSHOTS is not set', concurrency: true };
const picture = (page, name, options = {}) => page.screenshot({ path: `${screenshots}/dashboard-${name}.png`, ...options });

test('pictures', pictured, async (context) => {
  const looks = [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: PHONE }]];
  const fakes = looks.map(([name, options]) => context.test(name, () => withFake(12, async (cluster, url) => {
    const { page, close } = await open(url, options);
    await page.fill('#lookup-key', 'driver-42');
    await page.press('#lookup-key', 'Enter');
    await page.evaluate(() => document.activeElement.blur());
    cluster.change(9, 'leave');
    await page.waitForTimeout(22_000);
    cluster.change(4, 'suspect');
    await page.waitForTimeout(2200);
    cluster.change(4, 'faulty');
    cluster.change(7, 'suspect');
    await page.waitForTimeout(4500);
    await picture(page, name, { fullPage: name !== 'phone' });
    await close();
  })));
  const dev = context.test('dev', live, async () => {
    const { url, end } = await startDev(5);
    try {
      const { page, close } = await open(url);
      await page.waitForSelector('#process-rows tr:nth-child(5)');
      await page.waitForFunction(() => document.querySelector('#processes-note').textContent.startsWith('All that run agree'));
      await page.getByRole('button', { name: '100 requests a second' }).click();
      // The graphs need some seconds to have a shape.
      await page.waitForTimeout(10_000);
      const last = await page.locator('#process-rows tr:nth-child(5)').getAttribute('data-process');
      await page.check(`input[name=process][value="${last}"]`);
      await page.getByRole('button', { name: 'Suspend' }).click();
      await page.waitForFunction((last) => document.querySelector(`tr[data-address="${last}"] .status`)?.textContent === 'faulty', last);
      await page.waitForFunction(() => document.querySelector('#timeline b')?.textContent !== 'goes on');
      await page.evaluate(() => { document.activeElement.blur(); window.scrollTo(0, 0); });
      await picture(page, 'dev', { fullPage: true });
      await close();
    } finally { await end(); }
  });
  await Promise.all([...fakes, dev]);
});
