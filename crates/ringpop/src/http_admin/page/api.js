// The JSON interface of the member, and its stream of events.

const BASE = '/api/v1/';
/** The URL of a listener that wants a token has it behind its `#`, which no request sends. */
let token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';

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
 * Gives what begins anew, as with another member.
 */
export function watch({ opened, closed, told }) {
  let source;
  let timer;
  const connect = () => {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(`${BASE}events`);
    source.onopen = opened;
    source.onmessage = (message) => told(JSON.parse(message.data));
    source.onerror = () => {
      closed();
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, 1000);
    };
  };
  connect();
  return connect;
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
