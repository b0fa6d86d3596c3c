import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createAccount, createKey, grantCredits, monthsAfter, runDailyJobs, stepFor } from '../src/accounts/index.ts';
import type { DailyWork } from '../src/accounts/index.ts';
import { openLedger } from '../src/ledger/index.ts';
import type { Account, Ledger, NewMail } from '../src/ledger/index.ts';
import { USD } from '../src/money/index.ts';

const SECOND = 1_000;
const DAY = 86_400_000;
/** In a common year, far from a leap day: 365 days are a calendar year. */
const START = Date.UTC(2026, 2, 10, 12);
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n, rate: 1_055_000n };

const NOTHING: DailyWork = { noticed: 0, expired: 0, deactivated: 0 };
const noticed = (count: number) => ({ ...NOTHING, noticed: count });

/** Books on disk, and days that are looked at in any order one likes. */
interface Life {
  readonly ledger: Ledger;
  readonly accountId: string;
  /** Runs the daily jobs at a moment. */
  at(nowMs: number): Promise<DailyWork>;
  /** Runs them some days after the start. */
  day(days: number, plusMs?: number): Promise<DailyWork>;
  account(): Promise<Account>;
  /** Kinds of the mails queued so far, oldest first. */
  mails(): Promise<readonly string[]>;
  texts(): Promise<readonly string[]>;
  /** The last line of a story. */
  addsUp(): Promise<void>;
  /** Takes a hold of a dollar and leaves it open; the returned function settles it at nothing. */
  hold(id: string, nowMs: number): Promise<() => Promise<void>>;
}

async function begin(t: Test, options: { readonly credit?: bigint; readonly startMs?: number; readonly expiryDays?: number; readonly path?: string } = {}): Promise<Life> {
  const { credit = 5n * USD, startMs = START, expiryDays = 365 } = options;
  const ledger = await openLedger({ path: options.path ?? join(t.testdir(), 'findtoken.db'), as: 'cli' });
  t.teardown(() => ledger.close());
  const parts = { ledger, nowMs: () => startMs };
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const { id: keyId } = await createKey(parts, { accountId, name: 'test' });
  if (credit > 0n) await grantCredits(parts, { accountId, amount: credit, note: 'test' });
  const at = (nowMs: number) => runDailyJobs({ ledger, publicUrl: 'https://ai.example.com', creditExpiryDays: expiryDays }, nowMs);
  const rows = async () => [...(await ledger.listMail({ limit: 1_000 })).rows].reverse();
  return {
    ledger, accountId, at,
    day: (days, plusMs = 0) => at(startMs + days * DAY + plusMs),
    account: async () => {
      const account = await ledger.findAccount(accountId);
      if (account === undefined) throw new Error('the account is gone');
      return account;
    },
    mails: async () => (await rows()).map(({ kind }) => kind),
    texts: async () => (await rows()).map(({ text }) => text),
    async addsUp() {
      const { findings, openHolds } = await ledger.audit();
      t.same({ findings, openHolds }, { findings: [], openHolds: 0 }, 'the books add up after all of it');
    },
    async hold(id, nowMs) {
      const held = await ledger.hold({ id, accountId, keyId, mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: USD, byok: undefined, nowMs });
      if (!held.ok) throw new Error(held.reason);
      return async () => {
        await ledger.release({ id, status: 'ok', model: '', provider: '', promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0, usageOrigin: 'reported', latencyMs: 1, firstByteMs: undefined, attempts: 1, nowMs, price: PRICE });
      };
    },
  };
}

t.test('a year without activity: two notices, then the credits are gone, each to the second and once', async (t) => {
  const life = await begin(t);
  const steps = [
    [335, -SECOND, NOTHING, 'a second before 30 days are left'],
    [335, 0, noticed(1), '30 days are left'],
    [335, SECOND, NOTHING, 'told once'],
    [340, 0, NOTHING, 'nothing in between'],
    [358, -SECOND, NOTHING, 'a second before 7 days are left'],
    [358, SECOND, noticed(1), '7 days are left'],
    [364, 0, NOTHING, 'told once'],
    [365, -SECOND, NOTHING, 'a second before the end the credits are there'],
  ] as const;
  for (const [days, plus, work, why] of steps) t.same(await life.day(days, plus), work, why);
  t.equal((await life.account()).balance, 5n * USD);
  t.same(await life.mails(), ['expiry_30', 'expiry_7']);
  for (const text of await life.texts()) t.match(text, /ann@example\.com at https:\/\/ai\.example\.com has \$5\.00 .*2026-03-10 \(UTC\)[^]*these on 2027-03-10 \(UTC\)/, 'the mail says what, where and when');

  t.same(await life.day(365, SECOND), { noticed: 0, expired: 1, deactivated: 1 }, 'a second later they are not; and twelve months are over too');
  t.equal((await life.account()).balance, 0n);
  const { rows } = await life.ledger.listTransfers({ accountId: life.accountId, limit: 1 });
  t.match(rows[0], { kind: 'expiry', debit: life.accountId, credit: 'expiry', amount: 5n * USD, note: /no activity since 2026-03-10T12:00:00/ });
  t.same(await life.day(365, 2 * SECOND), NOTHING);
  t.same(await life.day(3_650), NOTHING, 'nor ten years later');
  t.same(await life.mails(), ['expiry_30', 'expiry_7', 'deactivation']);
  await life.addsUp();
});

t.test('any activity starts the time anew, with notices of its own', async (t) => {
  const life = await begin(t);
  await life.day(335);
  await life.day(358);
  const settle = await life.hold('req_1', START + 360 * DAY);
  await settle();
  t.same(await life.day(365, SECOND), NOTHING, 'the year counts from the request');
  t.same(await life.day(360 + 335), noticed(1));
  t.same(await life.day(360 + 358), noticed(1));
  t.same((await life.day(360 + 365)).expired, 1);
  t.same(await life.mails(), ['expiry_30', 'expiry_7', 'expiry_30', 'expiry_7']);
  await life.addsUp();
});

t.test("one account's activity keeps nobody else's credits", async (t) => {
  const life = await begin(t);
  await life.ledger.createAccount({ id: 'acct_busy', email: 'bob@example.com', status: 'active', nowMs: START });
  for (const days of [100, 334, 357, 364]) {
    const busy = { accountId: 'acct_busy', keyId: '', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: 0n, byok: undefined } as const;
    await life.ledger.hold({ ...busy, id: `req_${days}`, nowMs: START + days * DAY });
  }
  t.same(await life.day(335), noticed(1));
  t.same(await life.day(358), noticed(1));
  t.same(await life.day(365, SECOND), { noticed: 0, expired: 1, deactivated: 1 });
  t.equal((await life.ledger.findAccount('acct_busy'))?.activityMs, START + 364 * DAY);
});

t.test('days that are raised after the mails announce the new end as the first one', async (t) => {
  const life = await begin(t);
  await life.day(335);
  await life.day(358);
  const raised = (days: number, plusMs = 0) => runDailyJobs({ ledger: life.ledger, publicUrl: 'https://ai.example.com', creditExpiryDays: 730 }, START + days * DAY + plusMs);
  t.same(await raised(360), NOTHING);
  t.same(await raised(700, -SECOND), NOTHING, 'what was told of the 365th day says nothing of the 730th');
  t.same(await raised(700), noticed(1), '30 days are left');
  t.same(await raised(701), NOTHING, 'told once');
  t.same(await raised(723), noticed(1), '7 days are left');
  t.same(await raised(724), NOTHING, 'told once');
  t.same(await raised(730, -SECOND), NOTHING);
  t.match((await life.texts()).slice(2), [/after 730 days [^]*these on 2028-03-09/, /after 730 days [^]*these on 2028-03-09/], 'with the day that counts');
  t.equal((await raised(730, SECOND)).expired, 1);
  t.same(await life.mails(), ['expiry_30', 'expiry_7', 'expiry_30', 'expiry_7', 'deactivation']);
  await life.addsUp();
});

t.test('days that are raised after the last mail by less than a week: it is told again, and a week is left', async (t) => {
  const life = await begin(t);
  await life.day(335);
  await life.day(358);
  const raised = (days: number, plusMs = 0) => runDailyJobs({ ledger: life.ledger, publicUrl: 'https://ai.example.com', creditExpiryDays: 368 }, START + days * DAY + plusMs);
  t.same(await raised(364), noticed(1), 'four days before the new end, which is late');
  t.same(await raised(371, -SECOND), NOTHING, 'so it is put off');
  t.equal((await raised(371, SECOND)).expired, 1);
  await life.addsUp();
});

t.test('notices that an older version queued count', async (t) => {
  const life = await begin(t);
  const queue = (kind: 'expiry_30' | 'expiry_7', days: number) => life.ledger.queueNotice({ accountId: life.accountId, activityMs: START, nowMs: START + days * DAY, mail: { id: `mail_${kind}`, kind, reference: String(START), recipient: 'ann@example.com', subject: 's', text: 't', html: 'h' } });
  t.equal(await queue('expiry_30', 335), true);
  t.same(await life.day(340), NOTHING, 'nobody is told twice');
  t.equal(await queue('expiry_7', 358), true);
  t.same(await life.day(359), NOTHING);
  t.equal((await life.day(365, SECOND)).expired, 1);
});

t.test('a request that is open keeps the credits until it has ended', async (t) => {
  const life = await begin(t, { credit: 2n * USD });
  // A clock that stood still while the request was taken: its hold is as old as the idleness itself.
  const settle = await life.hold('req_1', START);
  await life.day(335);
  t.same(await life.day(358), NOTHING, 'somebody is at work: no notice');
  t.same(await life.day(365, SECOND), NOTHING);
  t.same((await life.account()).balance, 2n * USD, 'what is held cannot expire, nor what is beside it');
  await settle();
  t.same(await life.day(365, 2 * SECOND), noticed(1), 'then its owner is told first');
  t.same(await life.day(372), NOTHING);
  t.same((await life.day(372, 2 * SECOND)).expired, 1, 'a week later they expire');
  await life.addsUp();
});

t.test('a free BYOK request that is open counts as work too, though it holds nothing', async (t) => {
  const life = await begin(t, { credit: 0n });
  const [key] = await life.ledger.listKeys(life.accountId);
  const request = { id: 'req_1', accountId: life.accountId, keyId: key?.id ?? '', mode: 'byok', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: 0n, byok: { month: '2026-03', free: 10 }, nowMs: START } as const;
  t.match(await life.ledger.hold(request), { ok: true, free: true });
  t.same(await life.day(366), NOTHING, 'not deactivated under its hands');
  await life.ledger.release({ id: 'req_1', status: 'ok', model: '', provider: '', promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0, usageOrigin: 'reported', latencyMs: 1, firstByteMs: undefined, attempts: 1, nowMs: START, price: undefined });
  t.same(await life.day(366), { ...NOTHING, deactivated: 1 });
  await life.addsUp();
});

t.test('a daemon that was off catches up, and never takes credits unannounced', async (t) => {
  const cases = [
    // first run on day, what it does, day of the expiry, mails, why
    [340, 'expiry_30', 365, 'off over the first threshold: the mail comes late, the end stays'],
    [350, 'expiry_30', 365, 'likewise'],
    [358.9, 'expiry_7', 365, 'the last notice some hours late: the end stays'],
    [360, 'expiry_7', 367, 'off over both: one mail, and a week from it'],
    [400, 'expiry_7', 407, 'off over everything: one mail, and a week from it'],
    [4_000, 'expiry_7', 4_007, 'off for ten years: likewise'],
  ] as const;
  for (const [first, kind, end, why] of cases) {
    const life = await begin(t, { path: join(t.testdir({}), 'findtoken.db') });
    t.same(await life.day(first), noticed(1), why);
    t.same(await life.mails(), [kind], `${why}: this mail`);
    if (kind === 'expiry_30') t.same(await life.day(358), noticed(1), `${why}: the last notice comes in time`);
    t.same(await life.day(end, -SECOND), NOTHING, `${why}: not before`);
    t.equal((await life.account()).balance, 5n * USD, why);
    t.equal((await life.day(end, SECOND)).expired, 1, `${why}: then`);
    const told = (await life.texts()).findLast((text) => text.includes('Credits expire'));
    t.match(told, new RegExp(`these on ${new Date(START + end * DAY).toISOString().slice(0, 10)}`), `${why}: on the day that was told`);
    await life.addsUp();
  }
});

t.test('a clock that is wrong harms nobody', async (t) => {
  await t.test('set back after the notices: nothing is told or taken again', async (t) => {
    const life = await begin(t);
    await life.day(335);
    await life.day(358);
    t.same(await life.day(300), NOTHING);
    t.same(await life.day(-4_000), NOTHING, 'before the account was made');
    t.same(await life.day(335), NOTHING);
    t.same(await life.day(358), NOTHING);
    t.same((await life.day(365)).expired, 1);
    t.same(await life.day(300), NOTHING);
    t.same(await life.day(365), NOTHING, 'the second time around nothing is left to do');
    t.same(await life.mails(), ['expiry_30', 'expiry_7', 'deactivation']);
    await life.addsUp();
  });
  await t.test('ten years ahead for an hour: credits are announced, not taken', async (t) => {
    const life = await begin(t);
    t.same(await life.day(3_650), noticed(1));
    t.same(await life.day(3_650, 3_600_000), NOTHING);
    t.same(await life.day(1), NOTHING, 'and back');
    t.equal((await life.account()).balance, 5n * USD);
    await life.addsUp();
  });
  await t.test('the time zone of the machine does not matter', async (t) => {
    const zone = process.env['TZ'];
    t.teardown(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });
    for (const name of ['Pacific/Kiritimati', 'America/New_York', 'Asia/Kathmandu']) {
      process.env['TZ'] = name;
      t.equal(monthsAfter(Date.UTC(2027, 2, 14, 2, 30), 12), Date.UTC(2028, 2, 14, 2, 30), name);
    }
  });
});

t.test('months are the calendar\'s, days are 24 hours', async (t) => {
  const cases = [
    [Date.UTC(2026, 2, 10, 12), Date.UTC(2027, 2, 10, 12), 'a common year'],
    [Date.UTC(2027, 2, 10, 12), Date.UTC(2028, 2, 10, 12), 'over a leap day: 366 days'],
    [Date.UTC(2028, 1, 29, 23, 59, 59, 999), Date.UTC(2029, 1, 28, 23, 59, 59, 999), 'from a leap day to the last of February'],
    [Date.UTC(2028, 0, 31), Date.UTC(2029, 0, 31), 'the last of a long month'],
    [Date.UTC(2026, 11, 31, 23), Date.UTC(2027, 11, 31, 23), 'the last of the year'],
  ] as const;
  for (const [from, to, why] of cases) t.equal(new Date(monthsAfter(from, 12)).toISOString(), new Date(to).toISOString(), why);
  t.equal(monthsAfter(Date.UTC(2027, 11, 31), 2), Date.UTC(2028, 1, 29), 'shorter spans too');

  const leap = Date.UTC(2027, 2, 1, 12);
  const life = await begin(t, { startMs: leap });
  await life.day(358);
  t.same(await life.at(Date.UTC(2028, 1, 29, 12) - SECOND), NOTHING);
  t.same(await life.at(Date.UTC(2028, 1, 29, 12)), { ...NOTHING, expired: 1 }, 'the 365th day is the leap day');
  t.same(await life.at(Date.UTC(2028, 2, 1, 12) - SECOND), NOTHING);
  t.same(await life.at(Date.UTC(2028, 2, 1, 12)), { ...NOTHING, deactivated: 1 }, 'twelve months end a day later');
  await life.addsUp();
});

t.test('an account without credits is deactivated after twelve months, and says so once', async (t) => {
  const life = await begin(t, { credit: 0n });
  t.same(await life.day(335), NOTHING, 'nothing can expire, so nothing is announced');
  t.same(await life.day(365, -SECOND), NOTHING);
  t.same(await life.day(365), { ...NOTHING, deactivated: 1 });
  t.equal((await life.account()).status, 'deactivated');
  t.same(await life.day(366), NOTHING);
  t.same(await life.mails(), ['deactivation']);
  await life.ledger.setAccountStatus(life.accountId, 'active', START + 400 * DAY);
  t.same(await life.day(401), NOTHING, 'an operator who activates it again gives it another year');
  t.same(await life.day(765), NOTHING, 'which has a leap day');
  t.same(await life.day(766), { ...NOTHING, deactivated: 1 });
  t.same(await life.mails(), ['deactivation', 'deactivation']);
  await life.addsUp();
});

t.test('what is due is decided by the account alone', async (t) => {
  const account = { id: 'acct_1', email: 'a@b.c', status: 'active', frozen: false, balance: USD, held: 0n, requestsPerMinute: undefined, createdMs: 0, activityMs: 0 } as const;
  const after = (days: number, change: { readonly foretoldMs?: number; readonly warnedMs?: number; readonly account?: Partial<Account> } = {}, expiryDays = 365) =>
    stepFor({ foretoldMs: change.foretoldMs, warnedMs: change.warnedMs, account: { ...account, ...change.account } }, expiryDays, days * DAY).do;
  const cases = [
    [after(400, { account: { frozen: true } }), 'wait', 'a frozen account is in dispute: nothing expires'],
    [after(400, { account: { balance: -USD } }), 'wait', 'a debt neither expires nor deactivates'],
    [after(400, { account: { status: 'deactivated' } }), 'notice', 'credits of a deactivated account expire like any'],
    [after(400, { account: { status: 'pending', balance: 0n } }), 'wait', 'a pending account serves nothing anyway'],
    [after(400, { account: { status: 'deactivated', balance: 0n } }), 'wait', 'a deactivated one is done'],
    [after(60, {}, 90), 'notice', 'another number of days: 30 before'],
    [after(59, {}, 90), 'wait', 'not earlier'],
    [after(20, {}, 30), 'wait', 'credits of 30 days have no notice 30 days before'],
    [after(23, {}, 30), 'notice', 'but the one of 7'],
    [after(7, {}, 7), 'expire', 'credits of a week have none'],
    [after(1_000, {}, 3_650), 'wait', 'long-lived credits keep the account'],
  ] as const;
  for (const [step, expected, why] of cases) t.equal(step, expected, why);
});

t.test('a decision that came too late changes nothing', async (t) => {
  const life = await begin(t);
  const mail = (reference: string): NewMail => ({ id: `mail_${reference}`, kind: 'deactivation', reference, recipient: 'a@b.c', subject: 's', text: 't', html: 'h' });
  const nowMs = START + 400 * DAY;
  const stale = { accountId: life.accountId, activityMs: START - 1, nowMs };
  t.equal(await life.ledger.expireCredits(stale), undefined, 'there was activity since');
  t.equal(await life.ledger.queueNotice({ ...stale, mail: mail('1') }), false);
  t.equal(await life.ledger.deactivateIdle({ ...stale, mail: mail('1') }), false);
  const since = { ...stale, activityMs: START };
  t.equal(await life.ledger.deactivateIdle({ ...since, mail: mail('2') }), false, 'it has credits');
  const all = await Promise.all(Array.from({ length: 20 }, () => life.ledger.expireCredits(since)));
  t.same(all.filter((one) => one !== undefined), [{ amount: 5n * USD }], 'of twenty at once one takes the credits');
  t.same(await life.mails(), [], 'what did not happen is not told');
  await life.addsUp();
});

t.test('in one transaction with a grant, the grant counts', async (t) => {
  // The daemon commits what arrives together in one batch; the second must see the first.
  const path = join(t.testdir(), 'findtoken.db');
  const ledger = await openLedger({ path, as: 'daemon' });
  t.teardown(() => ledger.close());
  const { id: accountId } = await createAccount({ ledger, nowMs: () => START }, { email: 'ann@example.com', pending: false });
  const nowMs = START + 400 * DAY;
  await ledger.grant({ accountId, amount: USD, reference: 'g0', note: 'n', nowMs: START });
  // While the first is on its way the others wait, and go together.
  const writes = [ledger.setNote('x', 'y'), ledger.grant({ accountId, amount: USD, reference: 'g1', note: 'n', nowMs }), ledger.expireCredits({ accountId, activityMs: START, nowMs })] as const;
  const [, , expired] = await Promise.all(writes);
  t.equal(expired, undefined, 'the grant is activity');
  t.equal((await ledger.findAccount(accountId))?.balance, 2n * USD);
  t.same((await ledger.audit()).findings, []);
});

t.test('many accounts are looked at page by page, each once', async (t) => {
  const life = await begin(t, { credit: 0n });
  for (let at = 0; at < 230; at += 1) {
    // Groups of equal activity, for a page may end within one.
    const made = await life.ledger.createAccount({ id: `acct_${at}`, email: `a${at}@example.com`, status: 'active', nowMs: START + Math.floor(at / 60) * SECOND });
    if (made === 'email_taken') throw new Error('taken');
  }
  t.same(await life.day(364), NOTHING);
  t.same(await life.day(366), { ...NOTHING, deactivated: 231 });
  t.same(await life.day(366), NOTHING);
  await t.rejects(life.ledger.listIdle({ beforeMs: START, limit: 1, after: 'x' }), { code: 'invalid_request' }, 'a cursor of one\'s own making');
  await life.addsUp();
});
