'use strict';
// Every two seconds the page's parts are asked for, and those that changed are exchanged: neither does the page flicker nor
// does it lose its place. Neither "less than" nor "and" is written as a sign here: the page stays well-formed XML.
const shown = new Map();
for (const part of document.querySelectorAll('.live')) shown.set(part.id, part.outerHTML);
const gone = document.getElementById('gone');
let renewed = 0;
let heard = new Date();

// What a reader opened stays open, what they moved stays where it is.
function keep(old, part) {
  const pairs = (selector, carry) => {
    const theirs = part.querySelectorAll(selector);
    old.querySelectorAll(selector).forEach((node, place) => { if (theirs[place]) carry(node, theirs[place]); });
  };
  pairs('details', (from, to) => { to.open = from.open; });
  return () => pairs('pre, .scroll', (from, to) => { to.scrollLeft = from.left; });
}

function exchange(part) {
  const html = part.outerHTML;
  const old = document.getElementById(part.id);
  if (old === null || shown.get(part.id) === html) return;
  shown.set(part.id, html);
  old.querySelectorAll('pre, .scroll').forEach((node) => { node.left = node.scrollLeft; });
  const moved = keep(old, part);
  old.replaceWith(part);
  moved();
  renewed += 1;
  document.querySelector('main').dataset.renewed = renewed;
}

async function renew() {
  try {
    const answer = await fetch('parts', { cache: 'no-store' });
    if (!answer.ok) throw new Error(answer.statusText);
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const part of next.querySelectorAll('.live')) exchange(document.adoptNode(part));
    heard = new Date();
    gone.hidden = true;
  } catch {
    gone.querySelector('span').textContent = heard.toLocaleTimeString();
    gone.hidden = false;
  }
  setTimeout(renew, 2000);
}
setTimeout(renew, 2000);
