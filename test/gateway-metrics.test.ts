import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { Metrics } from '../src/gateway/metrics.ts';
import { timedLedger } from '../src/gateway/timed-ledger.ts';
import { StorageFault } from '../src/ledger/index.ts';
import { openHouse, readStream } from './support/house.ts';
import { json, pause, sse, startProvider, textChunks } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };

/** `name{labels}` → value. */
function read(text: string): Map<string, number> {
  return new Map(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
    const cut = line.lastIndexOf(' ');
    return [line.slice(0, cut), Number(line.slice(cut + 1))];
  }));
}

t.test('the metrics tell what happened, and agree with the books', async (t) => {
  const deepseek = await startProvider();
  const qwen = await startProvider();
  t.teardown(async () => Promise.all([deepseek.close(), qwen.close()]));
  const house = await openHouse(t, { providers: { deepseek: deepseek.url, qwen: qwen.url }, clock: { sleep: async () => undefined } });
  const metrics = async () => (await fetch(`${house.url}/metrics`)).text();

  deepseek.usage = { prompt_tokens: 1_000, completion_tokens: 100, prompt_tokens_details: { cached_tokens: 400 } };
  await (await house.post(HELLO)).text();
  await readStream(await house.post({ ...HELLO, stream: true }));
  deepseek.always(json(500, { error: { message: 'down' } }));
  qwen.usage = { prompt_tokens: 50, completion_tokens: 5 };
  await (await house.post(HELLO)).text();
  await (await house.post({ model: 'deepseek-chat' })).text();
  await house.lastRow();

  const text = await metrics();
  const found = read(text);
  const is = (name: string, value: number, why: string) => t.equal(found.get(name), value, `${name}: ${why}`);
  is('findtoken_requests_total{provider="deepseek",model="deepseek-chat",mode="standard",status="200",stream="false"}', 1, 'a whole answer');
  is('findtoken_requests_total{provider="deepseek",model="deepseek-chat",mode="standard",status="200",stream="true"}', 1, 'a stream');
  is('findtoken_requests_total{provider="qwen",model="qwen-max",mode="standard",status="200",stream="false"}', 1, 'who served, not who was asked');
  is('findtoken_requests_total{provider="",model="",mode="",status="400",stream=""}', 1, 'refused before a provider was chosen');
  is('findtoken_upstream_attempts_total{provider="deepseek",model="deepseek-chat",outcome="answered"}', 2, 'attempts by outcome');
  is('findtoken_failovers_total{from="deepseek/deepseek-chat",to="qwen/qwen-max",reason="retry"}', 1, 'one move, however many retries');
  is('findtoken_provider_state{provider="deepseek"}', 2, 'passed over after its retries');
  is('findtoken_provider_state{provider="qwen"}', 0, 'asked');
  is('gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="deepseek",gen_ai_response_model="deepseek-chat",gen_ai_token_type="input"}', 2_000, 'tokens');
  is('gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="deepseek",gen_ai_response_model="deepseek-chat",gen_ai_token_type="cached_input"}', 800, 'tokens from the cache');
  is('gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="deepseek",gen_ai_response_model="deepseek-chat"}', 2, 'durations');
  is('gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="deepseek",gen_ai_response_model="deepseek-chat"}', 1, 'first tokens of streams alone');
  is('findtoken_overhead_seconds_count{stream="false"}', 2, 'what we add to answers');
  is('findtoken_overhead_seconds_count{stream="true"}', 1, 'and to first words');
  is('findtoken_db_write_seconds_count{operation="hold"}', 3, 'writes');
  is('findtoken_provider_cooldowns_total{provider="deepseek"}', 1, 'it came to be passed over once');
  is('findtoken_db_busy_total', 0, 'nobody kept the write lock for long');
  t.ok((found.get('findtoken_db_journal_bytes') ?? 0) > 0, 'the journal has a size');
  is('findtoken_inflight_streams', 0, 'none runs');
  is('findtoken_inflight_requests', 0, 'and nobody else asks');
  t.match(text, /^findtoken_build_info\{version="0\.0\.0-test",node="\d+\./m);

  const { rows } = await house.ledger.listRequests({}, { limit: 100 });
  const sum = (name: string) => [...found].filter(([series]) => series.startsWith(`${name}{`)).reduce((total, [, value]) => total + Math.round(value * 1e8), 0);
  t.equal(sum('findtoken_cost_usd_total'), Number(rows.reduce((total, row) => total + row.cost, 0n)), 'every cent of the books');
  t.equal(sum('findtoken_fees_usd_total'), Number(rows.reduce((total, row) => total + row.fee, 0n)));
  t.notMatch(text, /acct_|key_|ann@example|sk-ft/, 'no account, no key');
});

/** The families of the observability page of the plan; dashboards are built on their names. */
const NAMES = [
  'gen_ai_server_request_duration_seconds', 'gen_ai_server_time_to_first_token_seconds', 'gen_ai_client_token_usage', 'findtoken_requests_total', 'findtoken_upstream_attempts_total',
  'findtoken_failovers_total', 'findtoken_provider_state', 'findtoken_provider_cooldowns_total', 'findtoken_cost_usd_total', 'findtoken_fees_usd_total', 'findtoken_overhead_seconds',
  'findtoken_inflight_streams', 'findtoken_db_busy_total', 'findtoken_db_write_seconds', 'findtoken_build_info',
];

t.test('every family has its name from the first moment, and the page documents it', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const text = await (await fetch(`${house.url}/metrics`)).text();
  const families = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
  t.same(NAMES.filter((name) => !families.includes(name)), [], 'all are there');
  const page = readFileSync(new URL('../docs/http.md', import.meta.url), 'utf8');
  t.same(families.filter((name) => !page.includes(`\`${name}\``) && !page.includes(`\`${name}{`)), [], 'docs/http.md names each');
});

t.test('an access line tells who served what, for how long, for which kind of client', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  const sdk = { 'x-stainless-lang': 'js', 'x-stainless-package-version': '6.49.0', 'x-stainless-retry-count': '2' };
  deepseek.usage = { prompt_tokens: 1_000, completion_tokens: 100, prompt_tokens_details: { cached_tokens: 400 } };
  await (await house.post(HELLO, sdk)).text();
  const { req_id, dur_ms, account_id, key_id, chat, ...rest } = house.lines.at(-1) ?? {};
  t.same(rest, { method: 'POST', path: '/v1/chat/completions', status: 200, trace_id: undefined });
  t.match({ req_id, account_id, key_id }, { req_id: /^req_/, account_id: house.accountId, key_id: /^key_/ });
  const { upstream_ms = -1, ...words } = chat ?? {};
  t.ok(upstream_ms >= 0 && upstream_ms <= Number(dur_ms), `${upstream_ms} of ${String(dur_ms)} ms were the provider's`);
  t.same(words, {
    mode: 'standard', model_requested: 'deepseek-chat', model_used: 'deepseek-chat', provider: 'deepseek', attempts: 1, stream: false,
    in_tok: 1_000, cached_tok: 400, out_tok: 100, cost: '0.000119', ttft_ms: undefined, end: 'ok', client_abort: undefined, sdk: 'js 6.49.0', retry_count: 2,
  });
  await (await house.post(HELLO, { 'x-stainless-lang': 'js\t"x', 'x-stainless-retry-count': 'many' })).text();
  t.match(house.lines.at(-1)?.chat, { sdk: undefined, retry_count: undefined }, 'what is not plain is left out');

  const leaving = new AbortController();
  deepseek.next(sse(textChunks(HEAD, 'one two three four'), { gapMs: 200 }));
  const response = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', signal: leaving.signal, headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, body: JSON.stringify({ ...HELLO, stream: true }) });
  await response.body?.getReader().read();
  leaving.abort();
  await house.lastRow();
  while (house.lines.at(-1)?.chat?.stream !== true) await pause(5);
  t.match(house.lines.at(-1)?.chat, { client_abort: true, end: 'aborted', ttft_ms: Number }, 'who hung up is told');
});

t.test('a write that another process kept waiting until it was refused is counted', async (t) => {
  const metrics = new Metrics();
  const hold = async (): Promise<never> => {
    throw new StorageFault('SQLITE_BUSY');
  };
  const full = async (): Promise<never> => {
    throw new StorageFault('SQLITE_FULL');
  };
  const house = await openHouse(t, { sandbox: true });
  const wish: Parameters<typeof house.ledger.hold>[0] = { id: 'req_1', accountId: house.accountId, keyId: 'k', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: 1n, byok: undefined, nowMs: 0 };
  await t.rejects(timedLedger({ ...house.ledger, hold }, metrics, () => 0).hold(wish), { code: 'storage_unavailable' });
  await t.rejects(timedLedger({ ...house.ledger, hold: full }, metrics, () => 0).hold(wish), { code: 'storage_unavailable' });
  const found = read(Metrics.text(metrics.record({ inFlight: 0, loopLagMs: 0, unsentBytes: 0 }), { version: '0', journalBytes: 0, health: [] }));
  t.equal(found.get('findtoken_db_busy_total'), 1, 'a full disk is another matter');
});

t.test('readiness is red while the disk is short, and green when it has room again', async (t) => {
  const space = { reserveBytes: 0, ballastBytes: 0 };
  const house = await openHouse(t, { sandbox: true, space });
  const ready = async () => {
    const response = await house.get('/readyz');
    return { status: response.status, retry: response.headers.get('retry-after'), body: await response.json() as unknown };
  };
  t.match(await ready(), { status: 200, retry: null, body: { status: 'ready', checks: [{}, {}, { name: 'disk', ok: true, detail: 'has room' }, {}] } });
  // The reader of the disk looks at the same rules: a reserve that no disk has makes this one short.
  space.reserveBytes = 2 ** 62;
  t.match(await ready(), { status: 503, retry: '5', body: { status: 'not ready', checks: [{ ok: true }, { ok: true }, { name: 'disk', ok: false, detail: /^\d+ MiB are free: no new request is begun$/ }, {}] } });
  space.reserveBytes = 0;
  t.match(await ready(), { status: 200 });
});

t.test('the text is well formed: every family once, buckets that only grow, a sum and a count', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  await (await house.post({ ...HELLO, model: 'sandbox-chat' })).text();
  const response = await fetch(`${house.url}/metrics`);
  t.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const text = await response.text();
  const families = [...text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram)$/gm)].map(([, name]) => name);
  t.equal(new Set(families).size, families.length);
  t.ok(text.endsWith('\n'));
  for (const line of text.split('\n')) t.match(line, /^$|^# (HELP|TYPE) \S+ .+$|^[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? [0-9.e+-]+$/);
  const last = new Map<string, number>();
  for (const [series, value] of read(text)) {
    const bucket = /^(.*_bucket\{.*)le="/.exec(series)?.[1];
    if (bucket === undefined) continue;
    t.ok(value >= (last.get(bucket) ?? 0), series);
    last.set(bucket, value);
  }
  t.ok(last.size > 0);
});

t.test('time at the provider is not ours, neither a retry\'s wait', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, yaml: { routing: { backoff: ['200ms'] } } });
  deepseek.next(json(500, {}), async (request, response) => {
    await pause(300);
    await json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'one' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1 } })(request, response);
  });
  await (await house.post(HELLO)).text();
  deepseek.next(sse(textChunks(HEAD, 'one two'), { delayMs: 300, gapMs: 100 }));
  await readStream(await house.post({ ...HELLO, stream: true }));
  await house.lastRow();
  const found = read(await (await fetch(`${house.url}/metrics`)).text());
  for (const stream of ['true', 'false']) t.ok((found.get(`findtoken_overhead_seconds_sum{stream="${stream}"}`) ?? 9) < 0.2, `stream ${stream}`);
  t.ok((found.get('gen_ai_server_request_duration_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="deepseek",gen_ai_response_model="deepseek-chat"}') ?? 0) > 1, 'while the whole took its time');
});

t.test('only who may read them does', async (t) => {
  const house = (setting: string) => openHouse(t, { sandbox: true, yaml: { server: { port: 0, metrics: setting, hosts: ['llm.example.com'] } } });
  const houses = { loopback: await house('loopback'), open: await house('open'), off: await house('off') };
  const local = 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:8787\r\nConnection: close\r\n';
  /** setting, the head that is sent, status, why */
  const cases = [
    ['loopback', local, 200, 'this machine'],
    ['loopback', local.replace('127.0.0.1', 'localhost'), 200, 'by its other name'],
    ['loopback', `${local}X-Forwarded-For: 203.0.113.7\r\n`, 404, 'somebody behind a proxy of this machine'],
    ['loopback', `${local}Forwarded: for=203.0.113.7\r\n`, 404, 'likewise'],
    ['loopback', `${local}X-Real-IP: 203.0.113.7\r\n`, 404, 'likewise'],
    ['loopback', `${local}Via: 1.1 proxy\r\n`, 404, 'likewise'],
    ['loopback', local.replace('127.0.0.1:8787', 'llm.example.com'), 404, 'a proxy that passes on the name it was called by'],
    ['loopback', local.replace('HTTP/1.1', 'HTTP/1.0'), 404, 'nginx, as it is without any further line'],
    ['open', `${local}X-Forwarded-For: 203.0.113.7\r\n`, 200, 'opened by the operator'],
    ['off', local, 404, 'closed to all'],
  ] as const;
  for (const [setting, head, status, why] of cases) {
    const answer = await exchange(houses[setting].url, head);
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), why);
  }
});

/** Sends a head as it is, for a client of Node's would put in a Host and a version of its own; what comes back, whole. */
async function exchange(url: string, head: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setEncoding('utf8').write(`${head}\r\n`);
  let answer = '';
  for await (const text of socket) answer += String(text);
  return answer;
}

t.test('a trace that the caller began goes on: it is passed to the provider and stands in the log', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  const cases = [
    [`00-${id}-00f067aa0ba902b7-01`, id, 'a trace'],
    ['00-zz-00-01', undefined, 'none at all'],
    [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, undefined, 'the trace of nobody'],
  ] as const;
  for (const [traceparent, expected, why] of cases) {
    await (await house.post(HELLO, { traceparent })).text();
    t.equal(house.lines.at(-1)?.trace_id, expected, why);
    if (expected !== undefined) t.equal(deepseek.requests.at(-1)?.headers['traceparent'], traceparent);
  }
});
