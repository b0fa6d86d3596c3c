/** C: the wall clock jumps, the zone changes, the month ends; the books do not mind. In this process, around a clock driven by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utcMonth } from '../../src/accounts/index.ts';
import { openLedger } from '../../src/ledger/index.ts';
import { openHouse, readStream, type House } from '../support/house.ts';
import { startProvider, textChunks, sse, type Answer } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

const HEAD = { id: 'c', created: 1, model: 'm' };
const USAGE = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };
const slow: Answer = (request, response) => sse([...textChunks(HEAD, 'one two three four'), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE }], { gapMs: 20 })(request, response);
const HELLO = { model: 'deepseek-chat', max_tokens: 50, messages: [{ role: 'user', content: 'Hello!' }] };
const DAY_MS = 86_400_000;

export async function runClock(verdicts: Verdicts): Promise<void> {
  await jumps(verdicts);
  await monthEdge(verdicts);
  zones(verdicts);
  await backAtRestart(verdicts);
  verdicts.skip('C7', 'credits expire after a year, to the second', 'test/expiry.test.ts tells it');
  verdicts.skip('C8', 'webhooks under a wrong clock', 'test/webhooks.test.ts tells it');
}

/** Runs a house around a clock whose wall time is `time.nowMs`. */
async function housed(time: { nowMs: number }, wish: { readonly yaml?: Readonly<Record<string, unknown>>; readonly answer?: Answer }, play: (house: House) => Promise<void>): Promise<void> {
  const endings: (() => unknown)[] = [];
  const provider = await startProvider(wish.answer ?? slow);
  const house = await openHouse({ teardown: (...[ending]: readonly unknown[]) => { if (typeof ending === 'function') endings.push(() => ending() as unknown); } }, { providers: { deepseek: provider.url }, clock: { nowMs: () => time.nowMs }, yaml: wish.yaml ?? {} });
  try {
    await play(house);
  } finally {
    for (const ending of endings) await ending();
    await provider.close();
  }
}

/** C1, C4, C5: 30 days back, onto a leap day, ten years ahead, each in mid-stream. */
async function jumps(verdicts: Verdicts): Promise<void> {
  const start = Date.UTC(2026, 10, 23, 12);
  const moves: readonly (readonly [id: string, what: string, toMs: number])[] = [
    ['C1', 'the clock goes back 30 days in mid-stream', start - 30 * DAY_MS],
    ['C4', 'the clock jumps onto a leap day in mid-stream', Date.UTC(2028, 1, 29, 23, 59, 59)],
    ['C5', 'the clock goes ten years ahead in mid-stream', start + 3_652 * DAY_MS],
  ];
  const time = { nowMs: start };
  await housed(time, {}, async (house) => {
    for (const [id, what, toMs] of moves) {
      time.nowMs = start;
      const response = await house.post({ ...HELLO, stream: true });
      time.nowMs = toMs;
      const { events } = await readStream(response);
      const row = await house.lastRow();
      const { findings, openHolds } = await house.ledger.audit();
      verdicts.equal(id, what, `${String(events.at(-1))}, ${row.status}, ${row.latencyMs >= 0 && row.latencyMs < 60_000 ? 'a sane duration' : `${row.latencyMs} ms`}, ${openHolds} open, ${findings.length} findings`, '[DONE], ok, a sane duration, 0 open, 0 findings');
    }
  });
}

/** C2: requests of the old month's last second count for it, though they end in the new one; one that fails is given back to it. */
async function monthEdge(verdicts: Verdicts): Promise<void> {
  const time = { nowMs: Date.UTC(2026, 10, 30, 23, 59, 58) };
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const answer: Answer = async (request, response) => {
    await gate;
    await slow(request, response);
  };
  await housed(time, { answer, yaml: { limits: { requests_per_minute: 10_000, concurrent_requests: 1_000, connections_per_address: 1_000 } } }, async (house) => {
    await house.register('deepseek', 'own-key');
    const before = Array.from({ length: 200 }, () => house.post({ ...HELLO, stream: true }).then(readStream));
    while ((await house.ledger.audit()).openHolds < 200) await new Promise((resolve) => setTimeout(resolve, 20));
    time.nowMs = Date.UTC(2026, 11, 1, 0, 0, 2);
    open();
    await Promise.all(before);
    const after = await Promise.all(Array.from({ length: 7 }, () => house.post({ ...HELLO, stream: true }).then(readStream)));
    await house.lastRow();
    const [november, december] = [await house.ledger.byokCount(house.accountId, '2026-11'), await house.ledger.byokCount(house.accountId, '2026-12')];
    const { findings } = await house.ledger.audit();
    verdicts.equal('C2', '200 BYOK requests in flight over the end of a month count where they began', `${november} in November, ${december} in December, ${findings.length} findings`, `200 in November, ${after.length} in December, 0 findings`);
  });
}

/** C3: the month is UTC's, whatever the zone of the machine and the season. */
export function zones(verdicts: Verdicts): void {
  const before = process.env['TZ'];
  const moments: readonly (readonly [number, string])[] = [
    [Date.UTC(2026, 10, 30, 23, 59, 59), '2026-11'], [Date.UTC(2026, 11, 1), '2026-12'], [Date.UTC(2026, 2, 31, 23, 30), '2026-03'],
    [Date.UTC(2026, 9, 31, 23, 30), '2026-10'], [Date.UTC(2028, 1, 29, 23, 59), '2028-02'], [Date.UTC(2026, 0, 1), '2026-01'],
  ];
  const wrong: string[] = [];
  for (const zone of ['Pacific/Auckland', 'America/Los_Angeles', 'Europe/Berlin']) {
    process.env['TZ'] = zone;
    for (const [nowMs, month] of moments) if (utcMonth(nowMs) !== month) wrong.push(`${zone} ${new Date(nowMs).toISOString()} is ${utcMonth(nowMs)}`);
  }
  if (before === undefined) delete process.env['TZ'];
  else process.env['TZ'] = before;
  verdicts.equal('C3', 'in three zones, at the edges of months and of summer time', wrong.join('; ') || 'UTC', 'UTC');
}

/** C6: started again with a clock a month behind: no hold lives for ever. */
async function backAtRestart(verdicts: Verdicts): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-clock-'));
  const path = join(folder, 'findtoken.db');
  const nowMs = Date.UTC(2026, 10, 23);
  const first = await openLedger({ path, as: 'daemon' });
  await first.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs });
  await first.grant({ accountId: 'acct_ann', amount: 1_000n, reference: 'g', note: '', nowMs });
  await first.hold({ id: 'req_1', accountId: 'acct_ann', keyId: 'key_1', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: true, ceiling: 400n, byok: undefined, nowMs });
  await first.close();
  const second = await openLedger({ path, as: 'daemon' });
  const recovered = await second.recover(nowMs - 30 * DAY_MS);
  const { openHolds, findings } = await second.audit();
  const account = await second.findAccount('acct_ann');
  await second.close();
  rmSync(folder, { recursive: true, force: true });
  verdicts.equal('C6', 'started again with the clock a month behind', `${recovered.released} released, ${openHolds} open, ${findings.length} findings, ${String(account?.held)} held`, '1 released, 0 open, 0 findings, 0 held');
}
