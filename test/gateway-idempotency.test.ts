import t, { type Test } from 'tap';
import { createGateway } from '../src/gateway/index.ts';
import { openHouse, readStream, type House } from './support/house.ts';
import { json, pause, sse, startProvider, textChunks, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const STREAM = { ...HELLO, stream: true };
const USAGE = { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 1_000, completion_tokens: 10 } };
const TEN_WORDS = [...textChunks(HEAD, 'one two three four five six seven eight nine ten'), USAGE];

async function furnished(test: Test, options: Parameters<typeof openHouse>[1] = {}): Promise<{ deepseek: FakeProvider; house: House; rows: () => Promise<number> }> {
  const deepseek = await startProvider();
  test.teardown(() => deepseek.close());
  const house = await openHouse(test, { providers: { deepseek: deepseek.url }, ...options });
  return { deepseek, house, rows: async () => (await house.ledger.listRequests({}, { limit: 100 })).rows.length };
}

const under = (key: string) => ({ 'idempotency-key': key });
const settled = async (response: Promise<Response>) => {
  const { status, headers } = await response;
  return { status, headers, text: await (await response).text() };
};

t.test('a hundred equal calls at once make one upstream call and one charge', async (t) => {
  for (const body of [HELLO, STREAM]) {
    const { deepseek, house, rows } = await furnished(t);
    deepseek.always(body === HELLO
      ? async (request, response) => {
        await pause(50);
        await json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'one' }, finish_reason: 'stop' }], usage: USAGE.usage })(request, response);
      }
      : sse(TEN_WORDS, { gapMs: 3 }));
    const before = await house.balance();
    const answers = await Promise.all(Array.from({ length: 100 }, () => settled(house.post(body, under('same')))));
    t.equal(deepseek.requests.length, 1);
    t.equal(await rows(), 1);
    t.ok(answers.every(({ status }) => status === 200));
    t.equal(new Set(answers.map(({ text }) => text)).size, 1, 'all hear the same');
    t.match(answers[0]?.text, body === HELLO ? /"cost"/ : /data: \[DONE\]\n\n$/);
    const row = await house.lastRow();
    t.same(new Set(answers.map(({ headers }) => headers.get('x-request-id'))), new Set([row.id]), 'all bear the id of the one billing row');
    t.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length, 99);
    t.equal(before - (await house.balance()), row.cost);
    t.equal(house.lines.filter(({ chat }) => chat !== undefined).length, 1, 'tokens and cost are told once in the log');
  }
});

t.test('afterwards the answer is replayed, and takes no token of the rate limit', async (t) => {
  for (const body of [HELLO, STREAM]) {
    const { deepseek, house, rows } = await furnished(t, { yaml: { limits: { requests_per_minute: 1 } } });
    deepseek.usage = { prompt_tokens: 1_000, completion_tokens: 10 };
    const first = await settled(house.post(body, under('again')));
    const again = await settled(house.post(body, under('again')));
    t.equal(again.status, 200, 'the one token is spent, and none is needed');
    t.equal(again.text, first.text);
    for (const name of ['content-type', 'x-request-id', 'x-findtoken-mode', 'x-findtoken-cost', 'x-findtoken-provider']) t.equal(again.headers.get(name), first.headers.get(name), name);
    t.equal(again.headers.get('idempotent-replayed'), 'true');
    t.equal((await house.post(body, under('another'))).status, 429, 'a new key is a new request');
    t.equal(await rows(), 1);
    t.equal(deepseek.requests.length, 1);
  }
});

t.test('a key stands for one body, one account and one day', async (t) => {
  let nowMs = Date.UTC(2026, 10, 23, 12);
  const { deepseek, house } = await furnished(t, { clock: { nowMs: () => nowMs } });
  await (await house.post(HELLO, under('day'))).text();
  const cases: readonly (readonly [body: unknown, headers: Record<string, string>, status: number, why: string])[] = [
    [{ ...HELLO, temperature: 1 }, under('day'), 422, 'another body'],
    [STREAM, under('day'), 422, 'a stream is another body'],
    [HELLO, { ...under('day'), 'x-findtoken-routing': 'cheapest' }, 422, 'a header that changes what is done'],
    [HELLO, under('x'.repeat(256)), 400, 'a key that is too long'],
    [HELLO, under('\u00e9'), 400, 'a key that is no ASCII'],
    [HELLO, { ...under('day'), 'x-stainless-retry-count': '1' }, 200, 'a retry of an SDK is the same call'],
  ];
  for (const [body, headers, status, why] of cases) {
    const answer = await settled(house.post(body, headers));
    t.equal(answer.status, status, why);
    if (status === 422) t.match(JSON.parse(answer.text), { error: { code: 'idempotency_conflict', type: 'invalid_request_error', metadata: { attempts: [] } } }, why);
  }
  t.equal(deepseek.requests.length, 1);
  nowMs += 86_399_000;
  await (await house.post(HELLO, under('day'))).text();
  t.equal(deepseek.requests.length, 1, 'a second before the day is over it is replayed');
  nowMs += 1_000;
  t.equal((await settled(house.post({ ...HELLO, temperature: 1 }, under('day')))).status, 200, 'after a day the key is free, for any body');
  t.equal(deepseek.requests.length, 2);
});

t.test('what failed cost nothing and leaves its key free', async (t) => {
  const { deepseek, house, rows } = await furnished(t);
  deepseek.next(json(400, { error: { message: 'no', type: 'invalid_request_error' } }));
  t.equal((await settled(house.post(HELLO, under('retry')))).status, 400);
  t.equal((await settled(house.post({ model: 'deepseek-chat' }, under('retry')))).status, 400, 'refused before anything is held');
  t.equal((await settled(house.post(HELLO, under('retry')))).status, 200, 'the retry is a real one');
  t.equal((await settled(house.post(HELLO, under('retry')))).status, 200);
  t.equal(deepseek.requests.length, 2);
  t.equal(await rows(), 2);
});

t.test('a client whose connection broke comes back to the same answer', async (t) => {
  const { deepseek, house, rows } = await furnished(t, { timing: { rejoinMs: 5_000 } });
  deepseek.always(sse(TEN_WORDS, { gapMs: 20 }));
  const leaving = new AbortController();
  const first = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', signal: leaving.signal, body: JSON.stringify(STREAM), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json', ...under('back') } });
  await first.body?.getReader().read();
  leaving.abort();
  await pause(30);
  const back = await readStream(await house.post(STREAM, under('back')));
  t.equal(back.events.length, TEN_WORDS.length, 'from the first word to the last');
  t.equal(back.events.at(-1), '[DONE]');
  t.equal(deepseek.requests.length, 1);
  t.equal(await rows(), 1);
  t.match(await house.lastRow(), { status: 'ok', completionTokens: 10 });
});

t.test('nobody comes back: the run ends as a client that hung up, and the books alone know it', async (t) => {
  const { deepseek, house } = await furnished(t, { timing: { rejoinMs: 10 } });
  deepseek.next(sse(TEN_WORDS, { gapMs: 100 }));
  const leaving = new AbortController();
  const first = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', signal: leaving.signal, body: JSON.stringify(STREAM), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json', ...under('gone') } });
  await first.body?.getReader().read();
  leaving.abort();
  const row = await house.lastRow();
  t.match(row, { status: 'aborted', usageOrigin: 'estimated' });
  const again = await settled(house.post(STREAM, under('gone')));
  t.equal(again.status, 422);
  t.match(JSON.parse(again.text), { error: { code: 'idempotency_conflict', message: new RegExp(`${row.id} ended as aborted and cost \\$0\\.\\d+`) } });
  t.equal(again.headers.get('x-findtoken-cost'), '0.00', 'being told costs nothing');
});

t.test('after a restart the outcome is told, and nothing is charged again', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  await (await house.post({ ...HELLO, model: 'sandbox-chat' }, under('old'))).text();
  const row = await house.lastRow();
  // Another gateway on the same books remembers nothing that is not written there.
  const unused = async () => { throw new Error('not in this test'); };
  const gateway = createGateway({
    settings: house.settings, ledger: house.ledger, upstream: { send: unused, listModels: unused, close: async () => undefined }, sandbox: undefined, vault: unused, version: 'test',
    credentials: { operatorProviders: async () => new Set(['deepseek']), operator: unused, registered: unused },
    clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now(), sleep: async () => undefined },
    log: { access: () => undefined, warn: () => undefined, error: () => undefined },
  });
  const { port } = await gateway.listen('127.0.0.1', 0);
  t.teardown(() => gateway.stop());
  const ask = (body: object) => settled(fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json', ...under('old') } }));
  const again = await ask({ ...HELLO, model: 'sandbox-chat' });
  t.equal(again.status, 422);
  t.match(again.text, new RegExp(`${row.id} ended as ok and cost`));
  t.match((await ask(HELLO)).text, /another body/, 'and another body is still another body');
  t.equal((await house.ledger.listRequests({}, { limit: 10 })).rows.length, 1);
  t.same((await house.ledger.audit()).findings, []);
});
