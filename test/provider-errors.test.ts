import t from 'tap';
import { handClock, openHouse, readStream, type House } from './support/house.ts';
import { json, sse } from './support/provider.ts';
import { PROVIDER_ERRORS } from './support/simulated-errors.ts';
import { SIMULATED, startSimulator, type SimulatedProvider } from './support/simulators.ts';

/** What a client sees of each error that a provider documents: with the operator's key, and with its own. It never costs anything. */

const ASKED = [{ role: 'user', content: 'What is the weather in Hangzhou?' }];
const MODELS: Readonly<Record<SimulatedProvider, string>> = {
  deepseek: 'deepseek-chat', zhipu: 'glm-4-plus', minimax: 'minimax-m2.5', qwen: 'qwen-max', kimi: 'kimi-k2', stepfun: 'step-3.5-flash',
};

interface Seen {
  readonly status: number;
  readonly code: string;
  /** How often the provider was asked. */
  readonly asked: number;
}

/** The one provider is all there is: nobody stands in. */
const STANDARD = {
  key: { status: 503, code: 'providers_unavailable', asked: 1 },
  money: { status: 503, code: 'providers_unavailable', asked: 1 },
  retry: { status: 503, code: 'providers_unavailable', asked: 4 },
  overloaded: { status: 503, code: 'providers_unavailable', asked: 2 },
  gone: { status: 503, code: 'providers_unavailable', asked: 1 },
  client: { status: 400, code: 'invalid_request', asked: 1 },
  policy: { status: 400, code: 'content_filter', asked: 1 },
  too_long: { status: 400, code: 'context_length_exceeded', asked: 1 },
} as const satisfies Record<string, Seen>;
type Kind = keyof typeof STANDARD;

/** Only key and money differ: they are the user's own to mend. */
const BYOK: Readonly<Record<Kind, Seen>> = {
  ...STANDARD,
  key: { status: 401, code: 'invalid_provider_key', asked: 1 },
  money: { status: 402, code: 'provider_balance_exhausted', asked: 1 },
};

/** Every error that the simulators know, with what it means. */
const MEANINGS: Readonly<Record<SimulatedProvider, Readonly<Record<string, Kind>>>> = {
  deepseek: {
    key: 'key', money: 'money', stream_options: 'client', tool_choice: 'client', invalid: 'client', too_long: 'too_long', parameters: 'client', gone: 'gone',
    risk: 'policy', rate: 'retry', server: 'retry', overloaded: 'retry',
  },
  zhipu: { key: 'key', money: 'money', rate: 'retry', overloaded: 'overloaded', policy: 'policy', 1210: 'client', gone: 'gone', too_long: 'too_long', server: 'retry' },
  minimax: {
    key: 'key', money: 'money', base_money: 'money', base_rate: 'retry', base_key: 'key', rate: 'retry', server: 'retry', overloaded: 'overloaded', policy: 'policy',
    too_long: 'too_long', window: 'too_long', invalid: 'client',
  },
  qwen: {
    key: 'key', money: 'money', rate: 'retry', insufficient_quota: 'retry', policy: 'policy', invalid_parameter_error: 'client', too_long: 'too_long', gone: 'gone',
    server: 'retry', overloaded: 'retry',
  },
  kimi: {
    key: 'key', money: 'money', rate: 'retry', overloaded: 'overloaded', policy: 'policy', temperature: 'client', n: 'client', invalid: 'client', too_long: 'too_long',
    gone: 'gone', server: 'retry', html: 'retry',
  },
  stepfun: { key: 'key', money: 'money', rate: 'retry', policy: 'policy', invalid: 'client', gone: 'gone', server: 'retry', overloaded: 'retry' },
};

for (const name of SIMULATED) {
  t.test(`${name}: each of its errors, to a client in Standard and in BYOK mode, streaming and not`, async (t) => {
    t.same(Object.keys(MEANINGS[name]).sort(), Object.keys(PROVIDER_ERRORS[name]).sort(), 'every error has its meaning here');
    const provider = await startSimulator(name);
    t.teardown(() => provider.close());
    const clock = handClock();
    const house = await openHouse(t, { providers: { [name]: provider.url }, clock });
    await house.register(name, 'good.key');
    for (const [error, kind] of Object.entries(MEANINGS[name])) {
      for (const [mode, seen] of [['standard', STANDARD[kind]], ['byok', BYOK[kind]]] as const) {
        for (const stream of [false, true]) {
          const why = `${error}, ${mode}, ${stream ? 'streaming' : 'whole'}`;
          heal(house, clock, name);
          provider.requests.length = 0;
          provider.fail(...Array.from({ length: seen.asked }, () => error));
          const response = await house.post({ model: MODELS[name], messages: ASKED, stream }, { 'x-findtoken-mode': mode });
          const { error: told } = await errorOf(response);
          t.same([response.status, told.code], [seen.status, seen.code], why);
          t.equal(provider.requests.length, seen.asked, `${why}: asked that often`);
          t.equal(response.headers.get('x-findtoken-cost'), '0.00', why);
          t.equal(response.headers.get('x-findtoken-mode'), mode, why);
          t.equal(response.headers.get('x-should-retry'), seen.status === 503 || seen.status === 402 || seen.code === 'invalid_provider_key' ? 'false' : null, why);
          t.equal(told.metadata.attempts.length, seen.asked, `${why}: every attempt is told`);
          t.match(await house.lastRow(), { status: seen.code, cost: 0n, mode }, why);
        }
      }
    }
    t.equal(await house.balance(), 1_000_000_000n, 'nothing of it was charged');
    t.match(await (await house.get('/v1/user/balance')).json(), { byok: { requests: 0 } }, 'nor counted against the free requests');
    t.same((await house.ledger.audit()).findings, []);
  });
}

t.test('a refusal that is said by a flag alone', async (t) => {
  const minimax = await startSimulator('minimax');
  t.teardown(() => minimax.close());
  const house = await openHouse(t, { providers: { minimax: minimax.url } });
  const flag = { id: 'x', created: 1, model: 'up', input_sensitive: true, base_resp: { status_code: 0 }, usage: { prompt_tokens: 20, completion_tokens: 0, total_tokens: 20 } };
  const empty = { role: 'assistant', content: '' };
  const cases = [
    [true, sse([{ ...flag, object: 'chat.completion.chunk', choices: [{ index: 0, delta: empty, finish_reason: 'stop' }] }]), 'in a stream'],
    [false, json(200, { ...flag, choices: [{ index: 0, message: empty, finish_reason: 'stop' }] }), 'in a whole answer'],
    [false, json(200, { ...flag, choices: null }), 'in a whole answer without choices'],
  ] as const;
  for (const [stream, answer, why] of cases) {
    minimax.always(answer);
    const response = await house.post({ model: 'minimax-m2.5', messages: ASKED, stream });
    t.same([response.status, (await errorOf(response)).error.code], [400, 'content_filter'], why);
    t.match(await house.lastRow(), { status: 'content_filter', cost: 0n }, why);
  }
});

t.test('an error inside a stream, before and after its first words', async (t) => {
  const minimax = await startSimulator('minimax');
  t.teardown(() => minimax.close());
  const clock = handClock();
  const house = await openHouse(t, { providers: { minimax: minimax.url }, clock });
  const head = { id: 'x', created: 1, object: 'chat.completion.chunk', model: 'up' };
  const words = { ...head, choices: [{ index: 0, delta: { content: 'It is' }, finish_reason: null }] };
  const base = { ...head, choices: [], base_resp: { status_code: 1008, status_msg: 'insufficient balance' } };
  const declined = { ...head, choices: [], base_resp: { status_code: 1027, status_msg: 'output new_sensitive' } };
  const cases = [
    [[base], 503, 'providers_unavailable', 'before: as if it had come alone'],
    [[words, base], 200, 'provider_failed', 'after: in-band, for the head is out'],
    [[declined], 400, 'content_filter', 'declined before: the same'],
    [[words, declined], 200, 'content_filter', 'declined after: in-band, and not as what might be sent again'],
  ] as const;
  for (const [events, status, code, why] of cases) {
    heal(house, clock, 'minimax');
    minimax.always(sse(events, { done: false, gapMs: 10 }));
    const response = await house.post({ model: 'minimax-m2.5', messages: ASKED, stream: true });
    t.equal(response.status, status, why);
    const body = status === 200 ? (await readStream(response)).events.at(-1) : await response.json();
    t.match(body, { error: { code } }, why);
    t.match(await house.lastRow(), { status: code, cost: 0n }, why);
  }
});

interface ErrorBody {
  readonly error: { readonly code: string; readonly metadata: { readonly attempts: readonly unknown[] } };
}

async function errorOf(response: Response): Promise<ErrorBody> {
  return (await response.json()) as ErrorBody;
}

/** Every row begins with a provider that nothing is known against. */
function heal(house: House, clock: ReturnType<typeof handClock>, name: SimulatedProvider): void {
  clock.advance(600_000);
  house.gateway.health.observe(`${name}/${MODELS[name]}`, { kind: 'answered' });
}
