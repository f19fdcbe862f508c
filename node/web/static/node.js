// What is live on the pages. Without it everything works by loading a page again.
'use strict';

// "3 min ago" goes on.
function span(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(seconds / 3600), days = Math.floor(seconds / 86400);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (hours < 1) return `${minutes} min`;
  if (days < 1) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return days < 10 && hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}
function ages() {
  for (const time of document.querySelectorAll('time[data-ago]')) {
    time.textContent = `${span(Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000))} ago`;
  }
}
setInterval(ages, 5_000);

// A menu closes when something else is clicked, and by Escape.
document.addEventListener('click', event => {
  for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    menu.open = false;
    menu.querySelector('summary').focus();
  }
});

// Parts of a page that have changed are swapped, but not under somebody's hands. First the page is painted.
const rows = document.getElementById('rows');
if (rows?.dataset.live && 'EventSource' in window) requestAnimationFrame(() => setTimeout(listen));

function listen() {
  const waiting = new Map();
  const pulse = document.getElementById('pulse');
  const source = new EventSource(rows.dataset.live);
  const is_busy = element => element?.contains(document.activeElement) && document.activeElement !== document.body
    || element?.querySelector('details[open]');

  function swap(name, mark, html) {
    const old = document.getElementById(name);
    if (old?.dataset.mark === mark) return void waiting.delete(name);
    if (is_busy(old)) return void waiting.set(name, [mark, html]);
    waiting.delete(name);
    if (!name.startsWith('job-')) return void (old && (old.innerHTML = html));
    const holder = document.createElement('tbody');
    holder.innerHTML = html;
    const fresh = holder.firstElementChild;
    fresh.classList.add('fresh');
    if (old) old.replaceWith(fresh); else rows.append(fresh);
  }

  function sort(order) {
    const wanted = order.filter(name => name.startsWith('job-'));
    for (const row of [...rows.children]) if (!wanted.includes(row.id)) row.remove();
    let next = rows.firstElementChild;
    for (const name of wanted) {
      const row = document.getElementById(name);
      if (row === next) next = next.nextElementSibling;
      else if (row) rows.insertBefore(row, next);
    }
    document.getElementById('empty').hidden = wanted.length > 0;
  }

  source.addEventListener('open', () => { pulse.hidden = false; });
  source.addEventListener('error', () => { pulse.hidden = true; });
  source.addEventListener('gone', () => { source.close(); location.reload(); });
  source.addEventListener('message', event => {
    const { order, parts } = JSON.parse(event.data);
    for (const [name, [mark, html]] of Object.entries(parts)) swap(name, mark, html);
    sort(order);
    ages();
  });
  const settle = () => setTimeout(() => { for (const [name, [mark, html]] of [...waiting]) swap(name, mark, html); }, 50);
  document.addEventListener('focusout', settle);
  document.addEventListener('toggle', settle, true);
}
