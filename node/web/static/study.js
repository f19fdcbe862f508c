// The light box: one slice at a time, with the heat map as strong as wanted. Without it the slices stand in rows.
'use strict';

for (const viewer of document.querySelectorAll('[data-viewer]')) {
  const planes = [...viewer.querySelectorAll('[data-plane]')].map(element => new Plane(element, viewer));
  const buttons = [...viewer.querySelectorAll('[data-choose]')];
  let strength = 70;
  let before = 70;

  const blend = percent => {
    strength = percent;
    viewer.style.setProperty('--heat', percent / 100);
    for (const plane of planes) plane.showStrength(percent);
  };
  const choose = name => {
    for (const plane of planes) plane.element.hidden = plane.element.dataset.plane !== name;
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.choose === name));
    planes.find(plane => !plane.element.hidden).load();
  };

  viewer.classList.add('live');
  for (const hidden of viewer.querySelectorAll('[data-controls], [data-planes]')) hidden.hidden = false;
  for (const plane of planes) {
    plane.heat.addEventListener('input', () => blend(Number(plane.heat.value)));
    const linked = plane.at(location.hash);
    plane.show(linked >= 0 ? linked : plane.first);
  }
  for (const button of buttons) button.addEventListener('click', () => choose(button.dataset.choose));
  choose((planes.find(plane => plane.at(location.hash) >= 0) ?? planes[0]).element.dataset.plane);
  blend(strength);

  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type=range]), textarea, select')) return;
    if (event.key === 'h' || event.key === 'H') {
      if (strength) before = strength;
      blend(strength ? 0 : before);
    } else if (!event.target.closest('[data-heat], [data-slice]') && (viewer.contains(event.target) || viewer.matches(':hover'))) {
      const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5, Home: -Infinity, End: Infinity }[event.key];
      if (step === undefined) return;
      planes.find(plane => !plane.element.hidden).step(step);
      event.preventDefault();
    }
  });
}

// What is under way is looked at again, but not under somebody's hands.
const again = document.querySelector('[data-again]');
if (again) {
  setInterval(() => {
    if (!document.hidden && !document.activeElement?.closest('main form, [data-viewer], details')) location.reload();
  }, 1000 * again.dataset.again);
}

// One plane of slices and its desk.
function Plane(element, viewer) {
  const slices = [...element.querySelectorAll('.slices > li')];
  const list = element.querySelector('.slices');
  const range = element.querySelector('[data-slice]');
  const where = element.querySelector('[data-where]');
  const cursor = element.querySelector('[data-cursor]');
  const along = element.querySelector('.curve');
  const keys = [...element.querySelectorAll('[data-go]')];
  const indexOf = number => slices.findIndex(slice => slice.dataset.number === number);
  let shown = -1;

  this.element = element;
  this.heat = element.querySelector('[data-heat]');
  this.first = indexOf(element.dataset.first);
  this.at = hash => slices.findIndex(slice => hash === `#${slice.id}`);
  this.show = index => {
    const next = Math.min(Math.max(index, 0), slices.length - 1);
    if (next === shown) return;
    slices[shown]?.classList.remove('shown');
    const slice = slices[next];
    slice.classList.add('shown');
    shown = next;
    range.value = next + 1;
    range.setAttribute('aria-valuetext', slice.dataset.words);
    where.textContent = slice.dataset.words;
    const x = slices.length > 1 ? `${100 * next / (slices.length - 1)}%` : '50%';
    cursor.setAttribute('x1', x);
    cursor.setAttribute('x2', x);
    for (const key of keys) key.setAttribute('aria-pressed', String(key.dataset.go === slice.dataset.number));
  };
  this.step = by => this.show(shown + by);
  this.showStrength = percent => {
    this.heat.value = percent;
    element.querySelector('[data-strength]').textContent = percent ? `${percent} %` : 'off';
  };
  // All pictures come, those near the first one first, so that stepping does not wait.
  this.load = () => {
    const near = slices.map((slice, index) => [Math.abs(index - shown), slice]).sort((one, other) => one[0] - other[0]);
    for (const [, slice] of near) for (const image of slice.querySelectorAll('img')) image.loading = 'eager';
  };

  range.addEventListener('input', () => this.show(Number(range.value) - 1));
  for (const key of keys) key.addEventListener('click', () => this.show(indexOf(key.dataset.go)));

  let turned = 0;
  list.addEventListener('wheel', event => {
    if (event.ctrlKey) return;
    event.preventDefault();
    const way = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : 40 * event.deltaY;
    turned = way * turned < 0 ? way : turned + way;
    const steps = Math.trunc(turned / 40);
    turned -= 40 * steps;
    if (steps) this.step(-steps);
  }, { passive: false });

  // Mouse: up and down; touch: to the sides, since up and down moves the page.
  let from = null;
  list.addEventListener('pointerdown', event => {
    if (event.button) return;
    from = { x: event.clientX, y: event.clientY, index: shown };
    list.setPointerCapture(event.pointerId);
  });
  list.addEventListener('pointermove', event => {
    if (!from) return;
    const way = event.pointerType === 'mouse' ? from.y - event.clientY : event.clientX - from.x;
    const length = event.pointerType === 'mouse' ? list.clientHeight : list.clientWidth;
    this.show(from.index + Math.round(way / length * Math.max(slices.length, 12)));
  });
  for (const end of ['pointerup', 'pointercancel']) list.addEventListener(end, () => { from = null; });

  const point = event => {
    const box = along.getBoundingClientRect();
    this.show(Math.round((event.clientX - box.left) / box.width * (slices.length - 1)));
  };
  along.addEventListener('pointerdown', event => { along.setPointerCapture(event.pointerId); point(event); });
  along.addEventListener('pointermove', event => { if (event.buttons) point(event); });
}
