'use strict';
(() => {
  const $ = (sel, of = document) => of.querySelector(sel), $$ = (sel, of = document) => [...of.querySelectorAll(sel)];
  const kept = (name, value) => {
    try { return value === undefined ? localStorage.getItem(name) : localStorage.setItem(name, value); } catch { return null; }
  };

  // times in the reader's zone
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const age = ms => {
    const s = Math.max(0, Math.round(ms / 1000)), i = units.findIndex(u => s >= u[0]);
    if (i < 0) return '0 s';
    const next = units[i + 1], rest = next ? Math.floor(s % units[i][0] / next[0]) : 0;
    return Math.floor(s / units[i][0]) + ' ' + units[i][1] + (rest ? ' ' + rest + ' ' + next[1] : '');
  };
  const skew = Date.parse($('.updated time')?.dateTime) - Date.now() || 0;
  const clock = new Intl.DateTimeFormat([], {month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23'});
  const times = of => $$('time', of).forEach(t => {
    const at = new Date(t.dateTime);
    if (isNaN(at)) return;
    if (t.className === 'ago') t.textContent = age(Date.now() + skew - at);
    else if (!t.title) { t.title = t.textContent; t.textContent = clock.format(at); }
  });
  setInterval(() => times($('main')), 15000);

  const say = text => {
    $('#live').innerHTML = '<p class="flash"></p>';
    const p = $('#live p');
    p.textContent = text;
    return p;
  };

  // updates: 304 while nothing changed
  let etag = document.body.dataset.etag, paused = false, lost = false, active = Date.now(), timer, next;
  const busy = () => $('main :checked[name=n], main form :focus:not(button)');
  const keys = main => $$('[data-key]', main).map(r => r.dataset.key);
  const swap = from => {
    const open = $$('main details[open][id]').map(d => d.id), ticked = $$('main :checked[name=n]').map(t => t.value);
    const main = $('main'), focus = document.activeElement?.id, filter = $('#filter');
    main.innerHTML = from.innerHTML;
    $('#filter')?.replaceWith(filter);
    $$('details', main).forEach(d => d.open ||= open.includes(d.id));
    $$('[name=n]', main).forEach(t => t.checked = ticked.includes(t.value));
    $('main [id="' + focus + '"]')?.focus({preventScroll: true});
    next = null;
    ready(main);
  };
  const take = page => {
    const from = $('main', page), were = keys($('main')), are = keys(from), fresh = are.filter(k => !were.includes(k)), same = String(were) === String(are);
    for (const sel of ['.trouble', '.updated', '.counts']) {
      const old = $(sel), now = $(sel, page);
      if (old && now) old.innerHTML = now.innerHTML;
      else if (now) $('#live').before(now);
      else old?.remove();
    }
    times($('.foot'));
    if (same && !busy()) return swap(from);
    for (const row of $$('main [data-key]')) { // none moves under a thumb
      const now = $('[data-key="' + CSS.escape(row.dataset.key) + '"]', from);
      if (!now) row.classList.add('gone');
      else if (!row.contains(document.activeElement) && !$(':checked', row)) { row.className = now.className; row.innerHTML = now.innerHTML; times(row); }
    }
    if (!same) {
      const p = say(fresh.length ? fresh.length + ' new ' : 'The list has changed ');
      p.innerHTML += '<button>Show</button>';
      $('button', p).onclick = () => { swap(next); p.remove(); };
    }
    next = from;
  };
  const poll = async () => {
    clearTimeout(timer);
    if (!etag || paused || document.hidden) return;
    try {
      const got = await fetch(location.href, {headers: {'If-None-Match': etag, Accept: 'text/html'}, cache: 'no-store'});
      if (got.redirected) return location.reload();
      if (got.status !== 304 && !got.ok) throw 0;
      if (lost) say('The bridge answers again.');
      lost = false;
      if (got.status === 200) {
        const page = new DOMParser().parseFromString(await got.text(), 'text/html');
        etag = got.headers.get('ETag');
        take(page);
      }
    } catch {
      if (!lost) say('The bridge does not answer: this page may be out of date.');
      lost = true;
      etag = '-';
    }
    timer = setTimeout(poll, Date.now() - active > 600000 ? 30000 : 5000);
  };
  for (const e of ['pointerdown', 'keydown', 'scroll']) addEventListener(e, () => {
    const was = active;
    active = Date.now();
    if (active - was > 600000) poll();
  }, {passive: true});
  document.addEventListener('visibilitychange', poll);

  const toggle = (button, on, yes, no) => { button.setAttribute('aria-pressed', on); button.textContent = on ? yes : no; };
  const pause = $('#pause'), keyed = $('#keys');
  let keysOn = kept('keys') !== 'off';
  if (etag) pause.onclick = () => { paused = !paused; toggle(pause, paused, 'Updates paused', 'Pause updates'); poll(); };
  else pause.remove();
  const showKeys = () => toggle(keyed, keysOn, 'Keys on', 'Keys off');
  showKeys();
  keyed.onclick = () => { keysOn = !keysOn; kept('keys', keysOn ? 'on' : 'off'); showKeys(); };
  $('.tools').hidden = false;

  addEventListener('keydown', e => {
    if (!keysOn || e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input,select,textarea,dialog')) return;
    const rows = $$('main [data-key] a.row'), at = rows.indexOf(document.activeElement);
    const act = {
      '/': () => { const d = $('main details.filter'); if (d) d.open = true; $('main [type=search]')?.focus(); },
      j: () => rows[Math.min(at + 1, rows.length - 1)]?.focus(),
      k: () => rows[Math.max(at - 1, 0)]?.focus(),
      a: () => at >= 0 ? location.assign(rows[at].href + '/acknowledge') : $('main a[data-key-a]')?.click(),
      '?': () => $('#help').showModal(),
    }[e.key];
    if (act) { e.preventDefault(); act(); }
  });

  const ready = of => {
    times(of);
    $$('[data-copy]', of).forEach(b => {
      b.hidden = !navigator.clipboard;
      b.onclick = () => navigator.clipboard.writeText(b.dataset.text || new URL(b.dataset.copy, location.href).href).then(() => say('Copied.'));
    });
    $$('[data-print]', of).forEach(b => { b.hidden = false; b.onclick = () => print(); });
  };
  ready(document);
  timer = setTimeout(poll, 5000);
})();
