// What is live on the pages. Without it everything works by loading a page again.
'use strict';

// "3 min ago" goes on.
const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
function ago(then) {
  const seconds = Math.max(0, (Date.now() - then) / 1000);
  const [length, unit] = UNITS.find(([length]) => seconds >= length) ?? [1, 's'];
  return `${Math.floor(seconds / length)} ${unit} ago`;
}
setInterval(() => {
  for (const time of document.querySelectorAll('time[data-ago]')) time.textContent = ago(Date.parse(time.dateTime));
}, 10_000);
