// Elements and texts. Nothing here takes markup: what members say becomes text.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children, each a node or a text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets a text when it is another one: a screen reader hears each change of a live region. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Compares texts with numbers in them as people do. */
export const naturally = new Intl.Collator('en', { numeric: true }).compare;

export const count = (number) => number.toLocaleString('en-US');

export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;

/** A time in milliseconds for people. */
export function time(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1) return `${(ms * 1000).toFixed(0)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString('en-GB');

/** A colour of the style sheet. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Makes a canvas as sharp as the screen, and gives its context and size. */
export function sharp(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Calls `draw` before a frame, at once or `pause` milliseconds after the last time, however often it is asked to. */
export function once(draw, pause = 0) {
  let waits = false;
  let last = 0;
  const run = () => requestAnimationFrame(() => { waits = false; last = performance.now(); draw(); });
  return () => {
    if (waits) return;
    waits = true;
    const left = last + pause - performance.now();
    if (left > 0) setTimeout(run, left); else run();
  };
}
