import t from 'tap';
import { Limits } from '../src/gateway/limits.ts';
import { handClock } from './support/house.ts';

/** An account under a limit that changes: how many of so many requests pass, and what the last was told. */
function account() {
  const clock = handClock();
  const limits = new Limits({ requestsPerMinute: 60, concurrentRequests: 1_000 }, clock.monotonicMs);
  const ask = (requestsPerMinute: number, times: number) => {
    let passed = 0;
    let retryAfterS = 0;
    let headers: Readonly<Record<string, string>> = {};
    for (let at = 0; at < times; at += 1) {
      const entered = limits.admit({ accountId: 'acct_ann', requestsPerMinute });
      headers = entered.headers;
      if ('leave' in entered) {
        passed += 1;
        entered.leave();
      } else retryAfterS = entered.retryAfterS;
    }
    return { passed, retryAfterS, left: headers['x-ratelimit-remaining-requests'], reset: headers['x-ratelimit-reset-requests'] };
  };
  return { clock, ask };
}

t.test('a bucket holds a minute\'s worth and fills evenly', async (t) => {
  const { clock, ask } = account();
  t.same(ask(60, 61), { passed: 60, retryAfterS: 1, left: '0', reset: '60s' });
  clock.advance(1_500);
  t.same(ask(60, 2), { passed: 1, retryAfterS: 0.5, left: '0', reset: '60s' });
  clock.advance(600_000);
  t.same(ask(60, 1), { passed: 1, retryAfterS: 0, left: '59', reset: '1s' }, 'and no more than that');
});

t.test('a raised limit gives its difference with the next request', async (t) => {
  const { clock, ask } = account();
  t.equal(ask(1, 2).passed, 1);
  t.same(ask(600, 30), { passed: 30, retryAfterS: 0, left: '569', reset: '4s' }, 'what was spent stays spent');
  t.same(ask(600, 600), { passed: 569, retryAfterS: 0.1, left: '0', reset: '60s' });
  clock.advance(60_000);
  t.equal(ask(600, 700).passed, 600, 'never more than the new limit');
});

t.test('a lowered limit holds with the next request, and punishes nobody for what was allowed', async (t) => {
  const { clock, ask } = account();
  ask(600, 100);
  t.same(ask(60, 1), { passed: 0, retryAfterS: 5, left: '0', reset: '64s' }, 'at the former pace down to the new limit, at its own from there');
  clock.advance(2_000);
  t.same(ask(60, 1), { passed: 0, retryAfterS: 3, left: '0', reset: '62s' });
  clock.advance(3_000);
  t.same(ask(60, 2), { passed: 1, retryAfterS: 1, left: '0', reset: '60s' });
  const idle = account();
  idle.ask(600, 10);
  t.equal(idle.ask(60, 60).passed, 50, 'whoever has spent less has the rest');
  t.equal(idle.ask(60, 1).retryAfterS, 1);
  const twice = account();
  twice.ask(60, 1);
  t.equal(twice.ask(600, 300).passed, 300);
  t.equal(twice.ask(60, 1).retryAfterS, 25.1, 'the pace is that of the limit under which it was spent');
});

t.test('so many calls at once: a place is free when its call has left, and once', async (t) => {
  const limits = new Limits({ requestsPerMinute: 1_000, concurrentRequests: 2 }, handClock().monotonicMs);
  const owner = { accountId: 'acct_ann', requestsPerMinute: undefined };
  const refused = { status: 429, message: /has 2 requests running/, headers: { 'retry-after': '1', 'x-ratelimit-remaining-requests': '998' } };
  const first = limits.enter(owner);
  limits.enter(owner);
  t.throws(() => limits.enter(owner), refused, 'one that is refused takes nothing of the minute');
  t.ok(limits.enter({ ...owner, accountId: 'acct_bob' }), 'another account has places of its own');
  first.leave();
  first.leave();
  t.ok(limits.enter(owner));
  t.throws(() => limits.enter(owner), { ...refused, headers: {} });
});

t.test('no account is forgotten while a call of it runs, or before its minute is over', async (t) => {
  const clock = handClock();
  const limits = new Limits({ requestsPerMinute: 2, concurrentRequests: 1 }, clock.monotonicMs);
  const passes = (accountId: string): boolean => 'leave' in limits.admit({ accountId, requestsPerMinute: undefined });
  t.ok(passes('acct_long'));
  clock.advance(110_000);
  for (const _ of [1, 2]) limits.enter({ accountId: 'acct_busy', requestsPerMinute: undefined }).leave();
  clock.advance(20_000);
  t.ok(passes('acct_other'), 'the first look at who is idle');
  t.notOk(passes('acct_busy'), '20 s fill no bucket of two a minute');
  t.notOk(passes('acct_long'), 'its only place is taken');
  clock.advance(300_000);
  t.ok(passes('acct_third'));
  t.notOk(passes('acct_long'), 'however long its answer takes');
});
