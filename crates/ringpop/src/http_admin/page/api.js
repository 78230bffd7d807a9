// The JSON interface of the member, and its stream of events.

const BASE = '/api/v1/';
let token = '';

export function useToken(text) { token = text.trim(); }

/** What the member answers; throws an error with its message. */
async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(BASE + path, { ...options, headers, cache: 'no-store' });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body?.error?.message ?? `status ${answer.status}`);
  return body;
}

export function get(path, parameters) {
  const query = parameters ? `?${new URLSearchParams(parameters)}` : '';
  return ask(path + query);
}

export function post(path, body = {}) {
  return ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/**
 * Events from now on. `opened` is called at each connection: what happened before it is not told,
 * and has to be asked for. The browser connects again by itself, but not after every failure.
 */
export function watch({ opened, closed, told }) {
  let source;
  const connect = () => {
    source = new EventSource(`${BASE}events`);
    source.onopen = opened;
    source.onmessage = (message) => told(JSON.parse(message.data));
    source.onerror = () => {
      closed();
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
    };
  };
  connect();
}

/** Calls `job` again and again, `pause()` milliseconds after it has ended, and not while nobody looks. */
export function repeat(job, pause) {
  let timer;
  const run = async () => {
    clearTimeout(timer);
    if (!document.hidden) {
      try { await job(); } catch { /* the connection shows it */ }
    }
    timer = setTimeout(run, pause());
  };
  document.addEventListener('visibilitychange', () => { if (!document.hidden) run(); });
  run();
  return run;
}
