/** The register of hazards tells the truth: no number is missing, and what it cites stands where it says. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { NUMBERS, REGISTER } from './torture/register.ts';

t.test('every number of the list has its trial, once', async (t) => {
  const wanted = Object.entries(NUMBERS).flatMap(([letter, last]) => Array.from({ length: last }, (_, at) => `${letter}${at + 1}`));
  t.same(REGISTER.map(({ id }) => id).toSorted(), wanted.toSorted());
});

t.test('each trial stands in its file', async (t) => {
  for (const { id, file, says, not } of REGISTER) {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    t.ok(says === undefined ? new RegExp(`(?<![A-Za-z0-9])${id}(?![0-9])`).test(text) : text.includes(says), `${id} in test/${file}`);
    if (not !== undefined) t.comment(`not wholly tried: ${id}: ${not}`);
  }
});

t.test('twelve bugs are planted', async (t) => {
  const text = readFileSync(new URL('torture/controls.ts', import.meta.url), 'utf8');
  t.equal(text.match(/^ {4}bug: '/gm)?.length, 12);
});
