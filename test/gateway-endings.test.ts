import t, { type Test } from 'tap';
import { openHouse, readStream, type House } from './support/house.ts';
import { cutAfter, json, pause, raw, sse, startProvider, until, type Answer, type FakeProvider } from './support/provider.ts';

/** Answers that end in odd ways: what is whole is billed, and nothing else is. */

const HEAD = { id: 'chatcmpl-odd', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'up' };
const chunk = (index: number, delta: unknown, finish: string | null = null) => ({ ...HEAD, choices: [{ index, delta, finish_reason: finish }] });
const ONE = [chunk(0, { role: 'assistant', content: 'one' }), chunk(0, {}, 'stop')];
const TWO = [chunk(1, { role: 'assistant', content: 'TWO' }), chunk(1, {}, 'stop')];

interface Standing {
  readonly house: House;
  readonly own: FakeProvider;
  /** Serves an equivalent of the model. */
  readonly other: FakeProvider;
  readonly ask: (more: Readonly<Record<string, unknown>>) => Promise<Response>;
}

/** A house with one model of a provider that speaks plain OpenAI, and an equivalent elsewhere. */
async function standing(test: Test, credit = '10'): Promise<Standing> {
  const own = await startProvider();
  const other = await startProvider();
  test.teardown(() => Promise.all([own.close(), other.close()]));
  const house = await openHouse(test, {
    providers: { own: own.url, other: other.url }, books: 'cli', credit, timing: { finishGraceMs: 60 },
    yaml: { routing: { backoff: ['1ms', '1ms', '1ms'] }, models: { m: { provider: 'own', price: { input: 1, output: 1 } }, k: { provider: 'other', price: { input: 1, output: 1 } } }, equivalents: { m: ['k'] } },
  });
  return { house, own, other, ask: (more) => house.post({ model: 'm', messages: [{ role: 'user', content: 'hello' }], max_tokens: 100, ...more }) };
}

/** The first events at once, the others after so long; then the connection ends. */
function late(first: readonly unknown[], waitMs: number, then: readonly unknown[]): Answer {
  const write = (events: readonly unknown[]) => events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');
  return async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(write(first));
    await pause(waitMs);
    if (!response.destroyed) response.end(write(then));
  };
}

t.test('a finished answer is billed, whatever was cut off behind it', async (t) => {
  const { house, own, ask } = await standing(t);
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n';
  const whole = `${head}${ONE.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}`;
  own.always(raw(`${whole}data: {"id":"chatcmpl-odd","choices":[],"usa`));
  const { text } = await readStream(await ask({ stream: true }));
  t.match(text, /one.*"usage".*\[DONE\]/s);
  t.match(await house.lastRow(), { status: 'ok', usageOrigin: 'estimated' }, 'with our own count in place of the usage that was cut');
  own.always(raw(`${head}data: ${JSON.stringify(ONE[0])}\n\ndata: {"id":"chatcmpl-odd","cho`));
  t.match((await readStream(await ask({ stream: true }))).events.at(-1), { error: { code: 'provider_failed' } }, 'an answer that is cut within is none');
});

t.test('an answer too deep to be written down is left to another provider, and costs nothing', async (t) => {
  const { house, own, other, ask } = await standing(t);
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  const answer = (name: string, finish: string) => `{"id":"x","choices":[{"index":0,"${name}":{"role":"assistant","content":"a","x":${deep}},"finish_reason":${finish}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`;
  for (const stream of [false, true]) {
    own.always(stream ? sse([answer('delta', 'null'), answer('delta', '"stop"')]) : json(200, answer('message', '"stop"')));
    const response = await ask({ stream });
    t.equal(response.status, 200);
    t.equal(response.headers.get('x-findtoken-model'), 'k', 'an equivalent answers');
    t.match(await response.text(), /echo:.*hello/s);
    t.match(await house.lastRow(), { status: 'ok', provider: 'other' });
    house.gateway.health.observe('own/m', { kind: 'answered' });
  }
  t.same([own.requests.length, other.requests.length], [2, 2], 'each was asked once a request');
  own.always(sse([ONE[0], answer('delta', 'null')]));
  t.match((await readStream(await ask({ stream: true }))).events.at(-1), { error: { code: 'provider_failed', message: /too_deep/ } }, 'within a stream it is told in-band');
  t.match(await house.lastRow(), { status: 'provider_failed', cost: 0n });
  t.same(house.logged, []);
});

t.test('an answer of two choices is over when both are', async (t) => {
  const { house, own, ask } = await standing(t);
  const cases = [
    // answer                              status             what the client sees   why
    [cutAfter(2, [...ONE, ...TWO]),        'provider_failed', /"provider_failed"/,   'the connection breaks before the second began'],
    [cutAfter(3, [...ONE, ...TWO]),        'provider_failed', /"provider_failed"/,   'the connection breaks within the second'],
    [late(ONE, 200, [...TWO, '[DONE]']),   'ok',              /TWO.*\[DONE\]/s,     'the second begins long after the first ended: nobody hurries it'],
    [late([...ONE, ...TWO], 400, []),      'ok',              /TWO.*\[DONE\]/s,     'both have ended: the provider need not say so'],
    [sse(ONE),                             'ok',              /one.*\[DONE\]/s,     'a provider that gives one only, and says that it is done'],
    [sse(ONE, { done: false }),            'ok',              /one.*\[DONE\]/s,     'the same where it just ends in good order'],
  ] as const;
  for (const [answer, status, seen, why] of cases) {
    own.always(answer);
    const { text } = await readStream(await ask({ stream: true, n: 2 }));
    t.match(text, seen, why);
    t.equal(text.includes('[DONE]'), status === 'ok', why);
    const row = await house.lastRow();
    t.equal(row.status, status, why);
    t.equal(row.cost > 0n, status === 'ok', why);
  }
  t.match(own.requests.at(-1)?.body, { n: 2 });
});

t.test('who hangs up pays for what came, also where the provider has told of the prompt alone', async (t) => {
  const { house, own, ask } = await standing(t);
  own.always(late([{ ...chunk(0, { role: 'assistant', content: 'one two three four five' }), usage: { prompt_tokens: 40, completion_tokens: 0, total_tokens: 40 } }], 5_000, []));
  const reader = (await ask({ stream: true })).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  t.ok(await until(() => house.lines.length === 1, 5_000));
  t.match(await house.lastRow(), { status: 'aborted', promptTokens: 40, completionTokens: 7, usageOrigin: 'estimated' }, '23 characters at 0.3');
});

t.test('an answer without usage is told and billed, also where its prompt has more parts than are ever counted as tokens', async (t) => {
  const { house, own, ask } = await standing(t, '200');
  own.always(json(200, { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: 'all of them' }, finish_reason: 'stop' }] }));
  const answer = await ask({ messages: [{ role: 'user', content: Array.from({ length: 25_000 }, () => ({ type: 'x' })) }] });
  t.match([answer.status, await answer.json()], [200, { choices: [{ message: { content: 'all of them' } }] }]);
  t.match(await house.lastRow(), { status: 'ok', usageOrigin: 'estimated', promptTokens: 100_000_000, shortfall: 0n });
  t.same(house.logged, []);
  t.same((await house.ledger.audit()).findings, []);
});
