import t from 'tap';
import { readMoment } from '../src/moments.ts';

t.test('days and times are in UTC unless they say otherwise, and are there', async (t) => {
  const zone = process.env['TZ'];
  process.env['TZ'] = 'America/New_York';
  t.teardown(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });
  const noonMs = Date.UTC(2026, 10, 23, 12);
  for (const [text, ms] of [
    ['2026-11-23', Date.UTC(2026, 10, 23)], ['2026-11-23T12:00', noonMs], ['2026-11-23T12:00:00', noonMs], ['2026-11-23T12:00:00Z', noonMs],
    ['2026-11-23T12:00:00.500Z', noonMs + 500], ['2026-11-23T14:00:00+02:00', noonMs], ['2024-02-29', Date.UTC(2024, 1, 29)],
  ] as const) t.equal(readMoment(text), ms, text);
  for (const text of ['', '2026', '2026-11', '2026-02-30', '2025-02-29', '2026-04-31T10:00Z', '2026-13-01', '2026-11-23T24:00', '2026-11-23T12', '2026-11-23 12:00', '2026-11-23Z', '11/23/2026', 'tomorrow', '2026-11-23T12:00:00+25:00', ' 2026-11-23']) {
    t.equal(readMoment(text), undefined, text);
  }
});
