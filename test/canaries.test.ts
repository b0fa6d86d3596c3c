import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { backupLedger } from '../src/ledger/index.ts';
import { openHouse, type House } from './support/house.ts';
import { cutAfter, hang, json, pause, raw, resetBeforeHead, sse, startProvider, textChunks, type Answer, type FakeProvider, type SeenRequest } from './support/provider.ts';

/** Secrets that must not be found where they do not belong, whatever goes wrong; and the proof that the search would find them. */

const OPERATOR = 'sk-canary-operator-51c0ffee';
const BYOK = 'sk-canary-registered-51c0ffee';
const INLINE = 'sk-canary-inline-51c0ffee';
const PROMPT = 'canary-prompt-51c0ffee';
const ANSWER = 'canary-answer-51c0ffee';
/** In every message of the provider: clients may see it, so it shows that replies are searched. It shares nothing with the keys, or it would be cut out. */
const CONTROL = 'canary-control-0b5e55ed';

const HEAD = { id: 'x', created: 1, model: 'up' };
const WORDS = textChunks(HEAD, `${ANSWER} one two three`);

/** The key that a provider was sent. */
function keyIn(request: SeenRequest): string {
  return (request.headers.authorization ?? '').replace('Bearer ', '');
}

/** Says back all that it was sent, key and prompt, in every field of an error. */
function echo(status: number, shape: (key: string, text: string) => unknown): Answer {
  return (request, response) => {
    const key = keyIn(request);
    return json(status, shape(key, `${CONTROL}: Bearer ${key} is bad, "${key}" and ${JSON.stringify(request.body)} ${ANSWER}`))(request, response);
  };
}

const openAi = (key: string, message: string): unknown => ({ error: { message, type: key, code: key, param: key } });
const native = (_key: string, status_msg: string): unknown => ({ choices: null, base_resp: { status_code: 2049, status_msg } });

/** An error in the middle of a stream that was good until then. */
function echoInStream(shape: (key: string, text: string) => unknown): Answer {
  return (request, response) => sse([...WORDS.slice(0, 3), shape(keyIn(request), `${CONTROL} ${keyIn(request)} ${ANSWER}`)], { done: false, gapMs: 5 })(request, response);
}

const FAULTS: readonly (readonly [why: string, answer: Answer])[] = [
  ...[400, 401, 402, 403, 404, 413, 422, 429, 451, 500, 503, 529].map((status) => [`${status} that says everything back`, echo(status, openAi)] as const),
  ['an error inside a 200', echo(200, openAi)],
  ['the native error inside a 200', echo(200, native)],
  ['code and message at the top', echo(400, (key, message) => ({ code: key, message }))],
  ['a page instead of an error', echo(502, (key, text) => `<html>${key} ${text}</html>`)],
  ['an answer that is no JSON', echo(200, (key, text) => `{"choices": [${key} ${text}`)],
  ['a redirect with the key in it', (request, response) => json(302, '', { location: `http://127.0.0.1:1/?key=${keyIn(request)}` })(request, response)],
  ['bytes that are no HTTP', (request, response) => raw(`${keyIn(request)} ${ANSWER}\r\n\r\n`)(request, response)],
  ['a header that cannot be', (request, response) => raw(`HTTP/1.1 200 OK\r\nbad header ${keyIn(request)}\r\n\r\n`)(request, response)],
  ['a connection that breaks', resetBeforeHead()],
  ['silence', hang()],
  ['a good answer', json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: ANSWER }, finish_reason: 'stop' }], usage: { prompt_tokens: 5, completion_tokens: 5 } })],
  ['usage that cannot be', json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: ANSWER }, finish_reason: 'stop' }], usage: { prompt_tokens: ANSWER, completion_tokens: -1 } })],
  ['a stream that is cut', cutAfter(3, WORDS)],
  ['an error in a stream', echoInStream(openAi)],
  ['a native error in a stream', echoInStream(native)],
  ['no JSON in a stream', echoInStream((key, text) => `{"${key} ${text}`)],
  ['an end that means failure', echoInStream((key) => ({ ...HEAD, choices: [{ index: 0, delta: {}, finish_reason: 'network_error' }], note: key }))],
];

/** What the search looks through. */
interface Haystack {
  readonly replies: string;
  readonly logs: string;
  /** Database, its journals and a backup, byte for byte. */
  readonly files: string;
}

t.test('no secret leaves its place, whatever the provider does', async (t) => {
  const { house, provider } = await open(t);
  const replies: string[] = [];
  const modes = [
    ['the operator\'s key', { model: 'deepseek-chat' }],
    ['a registered key', { model: 'kimi-k2' }],
    ['an inline key', { model: 'qwen-max', provider_key: { provider: 'qwen', api_key: INLINE } }],
  ] as const;
  for (const [why, answer] of FAULTS) {
    provider.always(answer);
    for (const [whose, fields] of modes) {
      for (const stream of [false, true]) {
        const told = await said(await house.post({ ...fields, stream, messages: [{ role: 'user', content: PROMPT }] }, { 'x-stainless-retry-count': '1' }));
        replies.push(told);
        t.same([OPERATOR, BYOK, INLINE, house.key].filter((key) => told.includes(key)), [], `${why}, ${whose}, ${stream ? 'streaming' : 'whole'}`);
      }
    }
  }
  t.same([...new Set(provider.requests.map(keyIn))].sort(), [INLINE, OPERATOR, BYOK], 'all three keys were sent');
  await hangUp(house, provider);
  replies.push(...await badRequests(house, provider));
  // A caller may be told its own words; the log may not.
  await house.get(`/v1/models/${house.key}`);
  const hay = await haystack(house, replies);
  t.ok(hay.replies.includes(CONTROL), 'the provider\'s messages did come through');
  t.ok(hay.logs.length > 5_000 && hay.files.length > 100_000, 'there is something to search');
  for (const canary of [OPERATOR, BYOK, INLINE, house.key, PROMPT, ANSWER, CONTROL]) {
    t.notOk(hay.logs.includes(canary), `no log has ${canary}`);
    t.notOk(hay.files.includes(canary), `no file has ${canary}`);
  }
  for (const key of [OPERATOR, BYOK, INLINE, house.key]) t.notOk(hay.replies.includes(key), `no reply has ${key}`);

  await t.test('the search finds what is there', async (t) => {
    const planted = 'canary-planted-51c0ffee';
    await house.ledger.setNote('planted', planted);
    house.logged.push(`x ${planted} y`);
    const again = await haystack(house, [`a reply ${planted}`]);
    t.ok(again.files.includes(planted), 'in the files');
    t.ok(again.files.split(planted).length > 2, 'in the backup as well as in the books');
    t.ok(again.logs.includes(planted));
    t.ok(again.replies.includes(planted));
  });
});

async function open(t: Test): Promise<{ readonly house: House; readonly provider: FakeProvider }> {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const house = await openHouse(t, {
    yaml: {
      providers: { deepseek: { base_url: provider.url, api_key: OPERATOR }, kimi: { base_url: provider.url }, qwen: { base_url: provider.url } },
      routing: { retries: 0, timeout: '60ms', stream_timeout: '60ms' }, limits: { requests_per_minute: 100_000 },
    },
  });
  await house.register('kimi', BYOK);
  return { house, provider };
}

/** A client that leaves in the middle of an answer. */
async function hangUp(house: House, provider: FakeProvider): Promise<void> {
  provider.always(sse(WORDS, { gapMs: 20 }));
  const leaving = new AbortController();
  const response = await fetch(`${house.url}/v1/chat/completions`, {
    method: 'POST', signal: leaving.signal, headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'deepseek-chat', stream: true, messages: [{ role: 'user', content: PROMPT }] }),
  });
  await response.body?.getReader().read();
  leaving.abort();
  await pause(30);
  await house.lastRow();
}

/** Requests that are wrong in a way that shows their secrets to the code that refuses them. */
async function badRequests(house: House, provider: FakeProvider): Promise<string[]> {
  provider.models(echo(401, openAi));
  const authorization = `Bearer ${house.key}`;
  const send = (path: string, init: RequestInit): Promise<string> => fetch(`${house.url}${path}`, init).then(said);
  const post = (path: string, body: string) => send(path, { method: 'POST', headers: { authorization, 'content-type': 'application/json' }, body });
  const chat = (fields: Readonly<Record<string, unknown>>) => post('/v1/chat/completions', JSON.stringify({ model: 'deepseek-chat', messages: [{ role: 'user', content: PROMPT }], ...fields }));
  return Promise.all([
    post('/v1/chat/completions', `{"provider_key": {"provider": "qwen", "api_key": "${INLINE}"}, "messages": "${PROMPT}" `),
    post('/v1/chat/completions', `"${INLINE}" ${PROMPT}`),
    post('/v1/chat/completions', `${'['.repeat(500)}"${INLINE}"`),
    chat({ provider_key: INLINE }),
    chat({ provider_key: { provider: 'qwen', api_key: `${INLINE} with a space` } }),
    chat({ provider_key: { provider: 'qwen', api_key: [INLINE] } }),
    chat({ provider_key: { provider: 'stepfun', api_key: INLINE } }),
    chat({ routing: INLINE }),
    chat({ messages: [INLINE] }),
    post('/v1/user/byok/register', JSON.stringify({ provider: 'kimi', name: 'x', api_key: BYOK })),
    post('/v1/user/byok/register', JSON.stringify({ provider: 'zhipu', name: 'x', api_key: BYOK })),
    post('/v1/user/byok/register', JSON.stringify({ provider: 'kimi', name: 'x', api_key: `${BYOK}\n` })),
    post('/v1/user/byok/register', `{"api_key": "${BYOK}"`),
    send('/v1/user/byok/keys', { headers: { authorization } }),
    send('/v1/user/keys', { headers: { authorization } }),
    send(`/v1/models?api_key=${house.key}`, {}),
    send('/v1/models', { headers: { authorization: house.key } }),
    send('/v1/models', { headers: { authorization: `Bearer ${house.key}0` } }),
    send('/v1/models', { headers: { authorization: `Basic ${house.key}` } }),
    send('/v1/chat/completions', { method: 'POST', headers: { authorization, 'content-type': 'text/plain' }, body: INLINE }),
  ]);
}

/** Status, headers and body of a reply, or how its connection ended. */
async function said(response: Response): Promise<string> {
  const text = await response.text().catch((error: unknown) => String(error));
  return `${response.status} ${JSON.stringify([...response.headers])} ${text}`;
}

async function haystack(house: House, replies: readonly string[]): Promise<Haystack> {
  await house.lastRow();
  const { path } = house.settings.database;
  const folder = dirname(path);
  await backupLedger({ path, to: join(folder, `copy-${readdirSync(folder).length}.db`) });
  const files = readdirSync(folder).filter((name) => name.includes('.db'));
  return { replies: replies.join('\n'), logs: `${JSON.stringify(house.lines)}\n${house.logged.join('\n')}`, files: files.map((name) => readFileSync(join(folder, name)).toString('latin1')).join('\n') };
}
