// The owner of a key, and those that take over from it.

import { byId, make } from './dom.js';
import { get } from './api.js';
import { state } from './model.js';

const OWNERS = 3;

/** Looks a key up; `drawn` is called when the ring has to be drawn anew. */
export function startLookup(drawn) {
  const ask = async () => {
    const key = byId('lookup-key').value;
    const result = byId('lookup-result');
    if (key === '') {
      state.lookup = null;
      result.replaceChildren();
      drawn();
      return;
    }
    try {
      const found = await get('lookup', { key, n: OWNERS });
      if (byId('lookup-key').value !== key) return;
      state.lookup = found;
      const [owner, ...others] = found.owners;
      const next = others.length ? `; when it is gone ${others.join(', then ')}` : '';
      result.replaceChildren(owner ? make('b', { class: 'mono', id: 'owner' }, owner) : 'Nobody owns keys', owner ? ` owns it${next}` : '');
    } catch (error) {
      result.replaceChildren(String(error.message));
    }
    drawn();
  };
  byId('lookup').addEventListener('submit', (event) => { event.preventDefault(); ask(); });
  byId('lookup-key').addEventListener('search', ask);
  /** The ring has changed. */
  return () => { if (state.lookup) ask(); };
}
