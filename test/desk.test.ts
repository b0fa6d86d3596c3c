import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { openLink, type Link } from '../src/crew/index.ts';
import { readFrames } from '../src/crew/link.ts';
import { openDesk, type Desk, type ToDesk, type ToMember } from '../src/gateway/index.ts';
import { Metrics } from '../src/gateway/metrics.ts';
import { shareAtDesk, type SharedAtDesk } from '../src/gateway/shared/member.ts';
import { loadSettings } from '../src/settings/index.ts';
import { handClock } from './support/house.ts';
import { pause } from './support/provider.ts';

/** Two ends of one connection. */
async function connected(t: Test): Promise<readonly [Socket, Socket]> {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const far = await accepted;
  server.close();
  t.teardown(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

t.test('frames are cut right wherever the bytes are', async (t) => {
  const said = ['', 'one', 'x'.repeat(300)].map((text) => Buffer.from(text));
  const bytes = Buffer.concat(said.flatMap((frame) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(frame.length);
    return [length, frame];
  }));
  for (const size of [1, 2, 3, 5, 7, 100, bytes.length]) {
    const heard: string[] = [];
    const read = readFrames((frame) => heard.push(frame.toString()));
    for (let at = 0; at < bytes.length; at += size) read(bytes.subarray(at, at + size));
    t.same(heard, said.map(String), `in pieces of ${size}`);
  }
  t.throws(() => readFrames(() => undefined)(Buffer.from([255, 255, 255, 255])), RangeError, 'a length that is none');
});

interface Talk {
  readonly double: { readonly ask: bigint; readonly answer: bigint };
  readonly note: { readonly ask: string; readonly answer: void };
  readonly fail: { readonly ask: undefined; readonly answer: void };
}

t.test('a talk keeps its order, its numbers, and ends with either end', async (t) => {
  const [near, far] = await connected(t);
  const [asking, answering] = [openLink<Talk>(near), openLink<Talk>(far)];
  const notes: string[] = [];
  asking.serve({});
  answering.serve<Talk>({
    double: async (n) => {
      notes.push(`double ${n}`);
      return n * 2n;
    },
    note: (text) => void notes.push(text),
    fail: async () => {
      throw new Error('it failed');
    },
  });
  asking.tellAlong('note', 'first');
  t.same(await Promise.all([asking.ask('double', 1n << 60n), asking.ask('double', 2n)]), [1n << 61n, 4n]);
  t.same(notes, ['first', `double ${1n << 60n}`, 'double 2']);
  await t.rejects(asking.ask('fail', undefined), { message: 'it failed' });
  await asking.flushed();
  const late = asking.ask('double', 3n);
  far.destroy();
  await t.rejects(Promise.all([late, asking.ask('double', 4n)]), { message: /gone/ });
  await asking.gone;
  await t.rejects(asking.ask('double', 5n), { message: /gone/ });
  await asking.flushed();
});

interface Seated {
  readonly shared: SharedAtDesk;
  readonly metrics: Metrics;
  leave(): void;
}

/** A desk, and processes at it, all in this one. */
async function furnished(limits: Readonly<Record<string, number>> = {}): Promise<{ readonly desk: Desk; readonly clock: ReturnType<typeof handClock>; sit(t: Test, no: number): Promise<Seated> }> {
  const clock = handClock();
  const plain = loadSettings({ env: {}, cwd: '/', home: '/' });
  const desk = openDesk({ settings: { limits: { ...plain.limits, ...limits } }, clock });
  return {
    desk,
    clock,
    async sit(t, no) {
      const [near, far] = await connected(t);
      const atDesk: Link<ToMember> = openLink<ToMember>(far);
      atDesk.serve<ToDesk>(desk.seat(no, atDesk));
      const link = openLink<ToDesk>(near);
      const shared = shareAtDesk(link, clock);
      const metrics = new Metrics();
      link.serve<Omit<ToMember, 'passed' | 'lost'>>(shared.handlers);
      link.serve<Pick<ToMember, 'lost'>>({ lost: () => undefined });
      const stop = shared.begin(() => metrics.record({ inFlight: 1, loopLagMs: no, unsentBytes: 0 }));
      t.teardown(stop);
      return { shared, metrics, leave: () => desk.clear(no) };
    },
  };
}

/** Waits for what one process says to have reached the other. */
async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo() && tries < 1_000; tries += 1) await pause(2);
}

const ANN = { accountId: 'acct_ann', requestsPerMinute: undefined };
const DOWN = { kind: 'failed', class: 'retry', retryAfterMs: undefined, spent: true } as const;

t.test('what one process learns of a provider the others know, and one request alone tries it again', async (t) => {
  const { sit, clock } = await furnished();
  const [one, two] = [await sit(t, 1), await sit(t, 2)];
  one.shared.health.observe('deepseek/m', DOWN);
  t.ok(one.shared.health.isDown('deepseek/m'), 'known here at once');
  await until(() => two.shared.health.isDown('deepseek/m'));
  t.ok(two.shared.health.isDown('deepseek/m'), 'and there');
  t.equal(await two.shared.health.reserve('deepseek/m'), true, 'an open circuit has nothing to reserve');
  clock.advance(31_000);
  const asked = await Promise.all([one, two, one, two].map(async ({ shared }) => shared.health.reserve('deepseek/m')));
  t.same(asked.filter((granted) => granted).length, 1, 'one of four may try');
  two.shared.health.observe('deepseek/m', { kind: 'answered' });
  await until(() => one.shared.health.entries.get('deepseek/m')?.state === 'closed');
  t.equal(one.shared.health.entries.get('deepseek/m')?.state, 'closed', 'its success is everybody\'s');
  one.shared.health.observe('deepseek/m (BYOK, hongkong)', DOWN);
  await until(() => two.shared.health.isDown('deepseek/m (BYOK, hongkong)'));
  t.ok(two.shared.health.isDown('deepseek/m (BYOK, hongkong)'), 'what BYOK finds is shared as well');
  t.notOk(two.shared.health.isDown('deepseek/m'), 'and stands apart there too');
  const third = await sit(t, 3);
  await until(() => third.shared.health.entries.size > 0);
  t.equal(third.shared.health.entries.get('deepseek/m')?.state, 'closed', 'who comes later is told');
});

t.test('places of a process that died fall back', async (t) => {
  const { desk, sit } = await furnished({ concurrentRequests: 2 });
  const [one, two] = [await sit(t, 1), await sit(t, 2)];
  const first = one.shared.limits.enter(ANN, 'req_1');
  t.match(await one.shared.limits.standing(ANN), { 'x-ratelimit-limit-requests': '600', 'x-ratelimit-remaining-requests': '599' }, 'asking takes nothing');
  two.shared.limits.enter(ANN, 'req_2');
  await t.rejects(two.shared.limits.enterWithoutHold(ANN, 'req_3'), { code: 'rate_limit_exceeded' }, 'two run, the limit');
  two.shared.limits.enter(ANN, 'req_4');
  await until(() => desk.refusalOf(2, 'req_4') !== undefined);
  t.match(desk.refusalOf(2, 'req_4'), { detail: /2 requests running/ }, 'its hold will not be taken');
  two.leave();
  const lease = await one.shared.limits.enterWithoutHold(ANN, 'req_5');
  t.match(lease.headers, {});
  lease.leave();
  lease.leave();
  first.leave();
  await until(() => desk.refusalOf(1, 'req_5') === undefined);
  await Promise.all(['a', 'b'].map((id) => one.shared.limits.enterWithoutHold(ANN, id)));
  await t.rejects(one.shared.limits.enterWithoutHold(ANN, 'c'), { code: 'rate_limit_exceeded' }, 'leaving twice gave back one place');
});

t.test('a limit that is raised counts at once, exactly, over all and in every order', async (t) => {
  const { sit } = await furnished();
  const seats = [await sit(t, 1), await sit(t, 2)];
  let asked = 0;
  /** One after the other, by the process whose turn it is: how many passed. */
  const passed = async (requestsPerMinute: number, times: number): Promise<number> => {
    let count = 0;
    for (let at = 0; at < times; at += 1) {
      asked += 1;
      const limits = seats[asked % 2]?.shared.limits;
      await limits?.enterWithoutHold({ ...ANN, requestsPerMinute }, `req_${asked}`).then((lease) => {
        lease.leave();
        count += 1;
      }, (refused: unknown) => t.match(refused, { code: 'rate_limit_exceeded' }));
    }
    return count;
  };
  t.equal(await passed(1, 2), 1);
  t.equal(await passed(10, 5), 5, 'the next ones pass');
  t.equal(await passed(1, 2), 0, 'one that still knows the former limit does not, and does not give back what was spent');
  t.equal(await passed(10, 8), 4, 'ten in all');
  t.equal(await passed(12, 5), 2, 'and the difference, raised once more');
});

t.test('sign-ups and addresses are counted over all', async (t) => {
  const { sit } = await furnished({ connectionsPerAddress: 2 });
  const [one, two] = [await sit(t, 1), await sit(t, 2)];
  const wish = { email: 'ann@example.com', remoteAddress: '198.51.100.7' };
  const answers = await Promise.allSettled([one, two, one, two, one, two, one].map(async ({ shared }) => { await shared.signUps.enter(wish); }));
  t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 5, 'five an hour of one address');

  const refused: string[] = [];
  const arrive = ({ shared }: Seated, name: string) => shared.addresses.arrived('198.51.100.7', () => refused.push(name));
  const part = arrive(one, 'a');
  arrive(two, 'b');
  await pause(20);
  arrive(two, 'c');
  await until(() => refused.length > 0);
  t.same(refused, ['c'], 'the third of one address');
  part();
  two.leave();
  await pause(20);
  arrive(one, 'd');
  arrive(one, 'e');
  await pause(50);
  t.same(refused, ['c'], 'what parted or died makes room');
});

t.test('figures are the sum of all, and what a dead process counted stays in it', async (t) => {
  const { sit } = await furnished();
  const [one, two] = [await sit(t, 1), await sit(t, 2)];
  const charge = (seat: Seated, cost: bigint) => seat.metrics.charged({ mode: 'standard', provider: 'deepseek', model: 'm', cost, providerCost: cost });
  charge(one, 100n);
  charge(two, 23n);
  two.metrics.added(3, true);
  one.metrics.added(700, true);
  one.shared.health.observe('deepseek/m', DOWN);
  const text = async () => Metrics.text(await one.shared.measure(() => one.metrics.record({ inFlight: 0, loopLagMs: 0, unsentBytes: 0 })), { version: '1', journalBytes: 0, health: [] });
  const both = await text();
  t.match(both, /^findtoken_cost_usd_total\{mode="standard",provider="deepseek",model="m"\} 0\.00000123$/m);
  t.match(both, /^findtoken_overhead_seconds_bucket\{stream="true",le="0\.005"\} 1$/m);
  t.match(both, /^findtoken_overhead_seconds_count\{stream="true"\} 2$/m);
  t.match(both, /^findtoken_provider_cooldowns_total\{provider="deepseek"\} 1$/m, 'counted once, not by each that hears of it');
  t.match(both, /^findtoken_inflight_requests 2$/m);
  t.match(both, /^findtoken_event_loop_lag_seconds 0\.002$/m, 'the latest of them');
  t.match(both, /^findtoken_workers 2$/m);
  two.leave();
  const left = await text();
  t.match(left, /^findtoken_cost_usd_total\{.*\} 0\.00000123$/m, 'counters only rise');
  t.match(left, /^findtoken_inflight_requests 1$/m);
  t.match(left, /^findtoken_workers 1$/m);
});
