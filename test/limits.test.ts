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
});
