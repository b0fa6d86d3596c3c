import t, { type Test } from 'tap';
import { charge, formatUsdExact, parsePrice, parseRate } from '../src/money/index.ts';
import { handClock, openHouse, readStream } from './support/house.ts';
import { cutAfter, hang, json, pause, sse, startProvider, textChunks, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
/** The catalogue's deepseek-chat, written out here so that a slip in the data fails a test. */
const DEEPSEEK = { input: parsePrice('0.14'), cachedInput: parsePrice('0.0028'), output: parsePrice('0.28') };

async function provider(test: Test): Promise<FakeProvider> {
  const made = await startProvider();
  test.teardown(() => made.close());
  return made;
}

t.test('an answer bears its cost, and the books bear the same', async (t) => {
  const cases = [
    // prompt, cached, completion, exact cost,    header,     why
    [1_000_000, 0, 0, '0.14770000', '0.1477', "the guide's $0.14/M + 5.5 %"],
    [1_900, 1_200, 130, '0.00014534', '0.000145', 'cached tokens are billed once, at their own price'],
    [1, 0, 0, '0.00000015', '0.00', 'rounded once, half up; a completion of zero is a value, not a gap'],
  ] as const;
  const deepseek = await provider(t);
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  for (const [prompt, cached, completion, exact, shown, why] of cases) {
    const before = await house.balance();
    deepseek.usage = { prompt_tokens: prompt, completion_tokens: completion, prompt_tokens_details: { cached_tokens: cached } };
    const response = await house.post(HELLO);
    const body = await response.json();
    const row = await house.lastRow();
    t.equal(response.status, 200, why);
    t.equal(response.headers.get('x-findtoken-cost'), shown, why);
    t.equal(response.headers.get('x-findtoken-mode'), 'standard');
    t.equal(response.headers.get('x-findtoken-provider'), 'deepseek');
    t.equal(response.headers.get('x-findtoken-model'), 'deepseek-chat');
    t.equal(response.headers.get('x-findtoken-attempts'), '1');
    t.equal(response.headers.get('x-request-id'), row.id, 'the row of the log has the id of the answer');
    t.equal(formatUsdExact(row.cost), exact, why);
    t.equal(before - (await house.balance()), row.cost, 'exactly the cost left the balance');
    t.equal(row.cost, charge({ prompt, cached, completion }, DEEPSEEK, parseRate('5.5%')).total);
    t.match(body, { model: 'deepseek-chat', usage: { prompt_tokens: prompt, completion_tokens: completion, prompt_tokens_details: { cached_tokens: cached } } });
  }
  t.same((await house.ledger.audit()).findings, [], 'the audit finds nothing');
  t.match(deepseek.requests[0], { headers: { authorization: 'Bearer good-key' }, body: { model: 'deepseek-flash', thinking: { type: 'disabled' } } }, 'upstream name and forced parameters are catalogue data');
});

t.test('a stream tells its cost in trailers, a comment and the last chunk', async (t) => {
  const deepseek = await provider(t);
  deepseek.usage = { prompt_tokens: 1_900, completion_tokens: 130, prompt_tokens_details: { cached_tokens: 1_200 } };
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });

  const plain = await house.post({ ...HELLO, stream: true });
  const told = await readStream(plain);
  t.equal(plain.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  t.equal(plain.headers.get('x-findtoken-balance'), '10.00', 'a stream begins with the balance before the call');
  t.equal(plain.headers.get('x-findtoken-cost'), null, 'a cost that is not known yet is not told');
  t.match(told.text, /: x-findtoken-cost 0\.000145\n\ndata: \[DONE\]\n\n$/, 'the comment stands just before the end');
  const chunks = told.events.filter((event) => event !== '[DONE]');
  t.ok(chunks.every((chunk) => hasChoices(chunk)), 'without include_usage no chunk has empty choices');
  t.match(chunks.at(-1), { choices: [{ finish_reason: 'stop' }], usage: { prompt_tokens: 1_900, cost: 0.000145 } });
  t.ok(chunks.every((chunk) => modelOf(chunk) === 'deepseek-chat'), "never the upstream's name");

  const asked = await readStream(await house.post({ ...HELLO, stream: true, stream_options: { include_usage: true } }));
  t.match(asked.events.at(-2), { choices: [], usage: { completion_tokens: 130, cost: 0.000145 } }, 'the chunk the client asked for');
  t.equal((await house.lastRow()).stream, true);
  t.same((await house.ledger.audit()).findings, []);
});

t.test('a failing provider is tried at 0, 1, 3 and 7 seconds, then the next; afterwards it is passed by', async (t) => {
  const clock = handClock();
  const deepseek = await provider(t);
  const qwen = await provider(t);
  deepseek.always(json(500, { error: { message: 'down', type: 'server_error' } }));
  const house = await openHouse(t, { providers: { deepseek: deepseek.url, qwen: qwen.url }, clock });
  const first = await house.post(HELLO);
  const body = await first.json();
  t.equal(first.status, 200);
  t.same(clock.slept, [1_000, 2_000, 4_000]);
  t.equal(deepseek.requests.length, 4);
  t.equal(first.headers.get('x-findtoken-model'), 'qwen-max', 'the header names the model that served');
  t.match(body, { model: 'qwen-max' }, 'and so does the answer');
  t.equal(first.headers.get('x-findtoken-attempts'), '5');
  const row = await house.lastRow();
  t.match(row, { model: 'qwen-max', requestedModel: 'deepseek-chat', provider: 'qwen', attempts: 5 });
  const qwenMax = { input: parsePrice('1.6'), cachedInput: parsePrice('0.32'), output: parsePrice('6.4') };
  t.equal(row.cost, charge({ prompt: 10, cached: 0, completion: 5 }, qwenMax, parseRate('5.5%')).total, "the serving model's price");

  const second = await house.post(HELLO);
  t.equal(second.headers.get('x-findtoken-model'), 'qwen-max');
  t.equal(deepseek.requests.length, 4, 'known to be down, skipped at once');
  clock.advance(31_000);
  deepseek.always(json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'back' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1 } }));
  t.equal((await house.post(HELLO)).headers.get('x-findtoken-model'), 'deepseek-chat', 'healed');
});

t.test('when everybody fails the client gets one 503, with what was tried, and pays nothing', async (t) => {
  const clock = handClock();
  const deepseek = await provider(t);
  deepseek.always(json(503, '<html>bad gateway</html>', { 'content-type': 'text/html' }));
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, clock });
  const response = await house.post(HELLO);
  const body = await response.json();
  t.equal(response.status, 503);
  t.equal(response.headers.get('x-should-retry'), 'false', "the SDKs' own retries must not multiply ours");
  t.match(response.headers.get('retry-after'), /^([1-9]|[1-5]\d|60)$/);
  t.equal(response.headers.get('x-findtoken-cost'), '0.00');
  const attempt = { provider: 'deepseek', model: 'deepseek-chat', status: 503, class: 'retry' };
  t.match(body, { error: { code: 'providers_unavailable', metadata: { attempts: [attempt, attempt, attempt, attempt] } } });
  t.match(await house.lastRow(), { status: 'providers_unavailable', cost: 0n });
  t.equal(await house.balance(), 1_000_000_000n);
});

t.test("the operator's key trouble is never the client's", async (t) => {
  const deepseek = await provider(t);
  deepseek.always(json(401, { error: { message: 'Authentication Fails, your api key: good-key is invalid', type: 'authentication_error', code: 'invalid_request_error' } }));
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  const response = await house.post(HELLO);
  const text = await response.text();
  t.equal(response.status, 503);
  t.notMatch(text, /good-key/);
  t.notMatch(house.logged.join('\n'), /good-key/);
});

t.test("the client's own mistakes come back as its own, once, and cost nothing", async (t) => {
  const cases = [
    // upstream status, body,                                                         status, code, why
    [400, { error: { message: 'bad tool_choice', type: 'invalid_request_error' } }, 400, 'invalid_request', 'no retry helps a bad request'],
    [400, { error: { message: "This model's maximum context length is 1048576 tokens", type: 'invalid_request_error', code: 'invalid_request_error' } }, 400, 'context_length_exceeded', 'nobody with a larger window is left'],
  ] as const;
  const deepseek = await provider(t);
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  for (const [status, body, expected, code, why] of cases) {
    deepseek.requests.length = 0;
    deepseek.always(json(status, body));
    const response = await house.post(HELLO);
    t.equal(response.status, expected, why);
    t.match(await response.json(), { error: { code } }, why);
    t.equal(deepseek.requests.length, 1);
  }
  t.equal(await house.balance(), 1_000_000_000n);
});

t.test('a provider that dies in the middle costs the client nothing, and says so in-band', async (t) => {
  const deepseek = await provider(t);
  const events = textChunks(HEAD, 'one two three four');
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  const endings = [
    ['the connection breaks', cutAfter(3, events)],
    ['the stream ends without its end', sse(events.slice(0, 3), { done: false, gapMs: 10 })],
    ['an error object comes', sse([...events.slice(0, 3), { error: { message: 'boom', type: 'server_error' } }], { done: false, gapMs: 10 })],
    ["an error's finish_reason comes", sse([...events.slice(0, 3), { ...HEAD, object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, finish_reason: 'insufficient_system_resource' }] }], { gapMs: 10 })],
  ] as const;
  for (const [why, answer] of endings) {
    deepseek.always(answer);
    const { text, events: told } = await readStream(await house.post({ ...HELLO, stream: true }));
    t.match(told.at(-1), { error: { code: 'provider_failed', metadata: { attempts: [{ provider: 'deepseek' }] } } }, why);
    t.notMatch(text, /\[DONE\]/, `${why}: no [DONE], so that SDKs raise it`);
    t.match(await house.lastRow(), { status: 'provider_failed', cost: 0n }, why);
  }
  t.equal(await house.balance(), 1_000_000_000n);
});

t.test('before the first words a broken stream is failed over like anything else', async (t) => {
  const deepseek = await provider(t);
  const qwen = await provider(t);
  const [role] = textChunks(HEAD, 'one');
  const house = await openHouse(t, { providers: { deepseek: deepseek.url, qwen: qwen.url } });
  deepseek.always(cutAfter(1, [role]));
  const response = await house.post({ ...HELLO, stream: true });
  const { events } = await readStream(response);
  t.equal(response.headers.get('x-findtoken-model'), 'qwen-max', 'a role alone is no word yet');
  t.equal(events.at(-1), '[DONE]');
  t.equal(deepseek.requests.length, 1, 'a request that was sent and got no answer is not sent there again');
});

t.test('a client that hangs up pays for the prompt and what was generated until then', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  deepseek.always(sse(textChunks(HEAD, 'one two three four five six seven eight nine ten'), { gapMs: 30 }));
  const leaving = new AbortController();
  const response = await fetch(`${house.url}/v1/chat/completions`, {
    method: 'POST', signal: leaving.signal, body: JSON.stringify({ ...HELLO, stream: true }),
    headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
  });
  const reader = response.body?.getReader();
  await reader?.read();
  leaving.abort();
  const row = await house.lastRow();
  t.match(row, { status: 'aborted', usageOrigin: 'estimated' });
  t.ok(row.promptTokens > 0 && row.completionTokens > 0 && row.completionTokens < 15, 'an estimate of what went out');
  t.ok(row.cost > 0n);
  await pause(20);
  t.equal(deepseek.requests[0]?.dropped, true, 'the provider is told to stop');

  deepseek.always(hang());
  const early = new AbortController();
  const waiting = fetch(`${house.url}/v1/chat/completions`, {
    method: 'POST', signal: early.signal, body: JSON.stringify(HELLO),
    headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
  }).catch((error: unknown) => error);
  while (deepseek.requests.length < 2) await pause(5);
  early.abort();
  await waiting;
  const second = await house.lastRow();
  t.match(second, { status: 'aborted', completionTokens: 0, usageOrigin: 'estimated' }, 'before the first byte: the prompt alone');
  t.same((await house.ledger.audit()).findings, []);
});

t.test('credits bound what may be asked for', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, credit: '0.001' });
  const lowered = await house.post(HELLO);
  t.equal(lowered.status, 200);
  const sent = deepseek.requests[0]?.body;
  const limit = isRecord(sent) ? Number(sent['max_tokens']) : 0;
  t.ok(limit >= 256 && limit < 16_384, `max_tokens is lowered to what the balance covers (${limit})`);

  const greedy = await house.post({ ...HELLO, messages: [{ role: 'user', content: 'x'.repeat(20_000) }] });
  const refused = await greedy.json();
  t.equal(greedy.status, 402);
  t.match(refused, { error: { code: 'insufficient_credits', type: 'insufficient_quota', message: /Recharge/ } });
  t.equal(greedy.headers.get('x-should-retry'), 'false');
  t.equal(deepseek.requests.length, 1, 'nobody is asked without a hold');
});

t.test('a video is held for before anybody is asked', async (t) => {
  const qwen = await provider(t);
  qwen.usage = { prompt_tokens: 120_000, completion_tokens: 1 };
  const house = await openHouse(t, { providers: { qwen: qwen.url }, books: 'cli', credit: '0.112' });
  const asked = { model: 'qwen-vl-max', max_tokens: 1, messages: [{ role: 'user', content: [{ type: 'text', text: 'what?' }, { type: 'video_url', video_url: { url: 'https://example.com/1h.mp4' } }] }] };
  t.equal((await house.post({ ...asked, max_tokens: 8_192 })).status, 200, 'the balance covers it, with a lower limit');
  t.match(await house.lastRow(), { status: 'ok', cost: 10_128_338n }, 'what it took is charged in full, for it was held');
  t.equal((await house.post(asked)).status, 402, 'what is left does not cover another');
  const sounds = Array.from({ length: 800 }, () => ({ type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } }));
  const many = await house.post({ ...asked, messages: [{ role: 'user', content: sounds }] });
  t.match([many.status, await many.json()], [402, { error: { code: 'insufficient_credits' } }], 'nor so many that they are held for as more tokens than are ever counted');
  t.equal(qwen.requests.length, 1);
});

t.test('a limit that nobody asked for does not push a prompt out of the window', async (t) => {
  const stepfun = await provider(t);
  const house = await openHouse(t, { providers: { stepfun: stepfun.url }, books: 'cli' });
  // As those do that count prompt and limit together.
  stepfun.always((request, response) => {
    const limit = isRecord(request.body) ? Number(request.body['max_tokens'] ?? 0) : 0;
    const answer = 12_000 + limit > 16_384
      ? json(400, { error: { message: `This model's maximum context length is 16384 tokens. However, you requested ${12_000 + limit} tokens.`, type: 'invalid_request_error' } })
      : json(200, { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: 'fits' }, finish_reason: 'stop' }], usage: { prompt_tokens: 12_000, completion_tokens: 5 } });
    return answer(request, response);
  });
  const asked = { model: 'step-2-16k', messages: [{ role: 'user', content: 'abcd '.repeat(8_000) }] };
  const response = await house.post(asked);
  t.match(await response.json(), { choices: [{ message: { content: 'fits' } }] });
  t.match(stepfun.requests.at(-1)?.body, { max_tokens: 2_868 });
  t.equal((await house.post({ ...asked, max_tokens: 9_000 })).status, 400, "a client's own limit is not touched");
});

t.test('a thousand parallel requests against one cent', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, credit: '0.01', yaml: { limits: { requests_per_minute: 100_000, concurrent_requests: 2_000, connections_per_address: 2_000 } } });
  deepseek.usage = { prompt_tokens: 20, completion_tokens: 90 };
  let lowest = 1n;
  let isRunning = true;
  const watch = (async () => {
    while (isRunning) {
      const account = await house.ledger.findAccount(house.accountId);
      const spendable = (account?.balance ?? 0n) - (account?.held ?? 0n);
      if (spendable < lowest) lowest = spendable;
      await pause(1);
    }
  })();
  const statuses = await Promise.all(Array.from({ length: 1_000 }, async () => {
    const response = await house.post({ ...HELLO, max_tokens: 100 });
    await response.text();
    return response.status;
  }));
  isRunning = false;
  await watch;
  t.same([...new Set(statuses)].sort((a, b) => a - b), [200, 402], 'some are served, some refused, none breaks');
  t.ok(lowest >= 0n, 'the balance less what is held was never below zero');
  await house.lastRow();
  const rows = (await house.ledger.usageTotals('model', { accountId: house.accountId, fromMs: 0, toMs: Date.now() + 60_000 })).map((total) => total.cost);
  t.equal(rows.reduce((sum, cost) => sum + cost, 0n), 1_000_000n - (await house.balance()), 'the charges are what left the balance');
  t.same((await house.ledger.audit()).findings, []);
});

t.test('a silent provider is bridged with comments, and a stream that stalls is an error', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, timing: { keepAliveMs: 30 }, yaml: { routing: { stream_timeout: '200ms' } } });
  deepseek.always(sse(textChunks(HEAD, 'one two'), { delayMs: 80 }));
  const bridged = await readStream(await house.post({ ...HELLO, stream: true }));
  t.match(bridged.text, /^: keep-alive\n\n/);
  t.equal(bridged.events.at(-1), '[DONE]');
  deepseek.always(async (request, response) => {
    await pause(80);
    await json(400, { error: { message: 'bad tool_choice', type: 'invalid_request_error' } })(request, response);
  });
  const refused = await readStream(await house.post({ ...HELLO, stream: true }));
  t.match(refused.text, /^: keep-alive\n\n/);
  t.match(refused.events.at(-1), { error: { code: 'invalid_request' } }, "the client's own fault is told as that, in-band too");
  deepseek.always(hang());
  const stalled = await readStream(await house.post({ ...HELLO, stream: true }));
  t.match(stalled.events.at(-1), { error: { code: 'providers_unavailable' } });
  t.notMatch(stalled.text, /\[DONE\]/);
  t.match(await house.lastRow(), { cost: 0n });
});

function hasChoices(chunk: unknown): boolean {
  return isRecord(chunk) && Array.isArray(chunk['choices']) && chunk['choices'].length > 0;
}

function modelOf(chunk: unknown): unknown {
  return isRecord(chunk) ? chunk['model'] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
