import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import t from 'tap';
import { EMAIL_PATTERN, NAME_PATTERN, readEmail, readProvider, readSecret, SECRET_PATTERN } from '../src/accounts/index.ts';
import { readName } from '../src/accounts/names.ts';
import { Fault, FAULTS } from '../src/faults.ts';
import { ROUTES } from '../src/gateway/index.ts';
import { openHouse, readStream, type House } from './support/house.ts';
import { startProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };

type Json = Readonly<Record<string, unknown>>;
const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const at = (value: unknown, ...path: readonly (string | number)[]): unknown => path.reduce<unknown>((found, name) => (typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined), value);

async function descriptionOf(house: House): Promise<Json> {
  const document: unknown = await (await fetch(`${house.url}/openapi.json`)).json();
  if (!isJson(document)) throw new Error('no object');
  return document;
}

/** Our own shapes, closed: a field that nobody described is an error. OpenAI's stay open, for the provider's own fields pass. */
function closed(document: Json): Json {
  const close = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(close);
    if (!isJson(value)) return value;
    const inner = Object.fromEntries(Object.entries(value).map(([name, part]) => [name, close(part)]));
    return isJson(inner['properties']) && Array.isArray(inner['required']) ? { ...inner, additionalProperties: false } : inner;
  };
  const schemas = at(document, 'components', 'schemas');
  const own = Object.fromEntries(Object.entries(isJson(schemas) ? schemas : {}).map(([name, schema]) => [name, name.startsWith('Chat') ? schema : close(schema)]));
  return { ...document, components: { schemas: own } };
}

/** Validators for parts of a description, by their JSON pointer. */
function validators(document: Json): (...pointer: readonly string[]) => ValidateFunction {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ ...document, $id: 'api' });
  const escaped = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D');
  return (...pointer) => ajv.compile({ $ref: `api#/${pointer.map(escaped).join('/')}` });
}

t.test('a public linter finds nothing against it', async (t) => {
  const house = await openHouse(t, { books: 'cli' });
  const response = await fetch(`${house.url}/openapi.json`);
  t.equal(response.status, 200, 'without a key');
  t.match(response.headers.get('content-type'), /^application\/json/);
  const source = await response.text();
  const config = await createConfig({ extends: ['recommended-strict'] });
  const problems = await lintFromString({ source, config });
  t.same(problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer ?? ''}`), []);
  const broken = JSON.stringify({ ...JSON.parse(source), paths: { '/x': { get: { responses: {} } } } });
  t.ok((await lintFromString({ source: broken, config })).length > 0, 'and it does look');
  t.equal(await (await fetch(`${house.url}/openapi.json`)).text(), source, 'it is made once');
});

t.test('every route is described, and nothing else', async (t) => {
  const house = await openHouse(t, { books: 'cli', yaml: { billing: { minimum_recharge: 25 } } });
  const document = await descriptionOf(house);
  const told = Object.entries(isJson(document['paths']) ? document['paths'] : {}).flatMap(([path, methods]) => Object.keys(isJson(methods) ? methods : {}).map((method) => `${method.toUpperCase()} ${path}`));
  t.same(told.sort(), ROUTES.map(({ method, path }) => `${method} ${path}`).sort());
  const codes = at(document, 'components', 'schemas', 'Error', 'properties', 'error', 'properties', 'code', 'enum');
  t.same(codes, Object.keys(FAULTS), 'every code of the contract');
  const said = JSON.stringify(document['paths']);
  for (const code of Object.keys(FAULTS).filter((code) => code !== 'method_not_allowed')) t.ok(said.includes(`"${code}"`), `${code} is a refusal of some route`);
  for (const { method, path, needsKey } of ROUTES) {
    const operation = at(document, 'paths', path, method.toLowerCase());
    t.equal(at(operation, 'responses', '401') !== undefined, needsKey, `${method} ${path}: 401 where a key is needed`);
    t.same(at(operation, 'security'), needsKey ? undefined : [], `${method} ${path}: as the route table says`);
  }
  const body = at(document, 'paths', '/v1/user/credits', 'post', 'requestBody', 'content', 'application/json', 'schema', 'properties', 'amount', 'anyOf', 0);
  t.match(body, { minimum: 25 }, 'what the settings decide is theirs');
  t.same(at(document, 'paths', '/v1/user/byok/register', 'post', 'requestBody', 'content', 'application/json', 'schema', 'properties', 'provider', 'enum'), [...house.settings.catalog.providers.keys()]);
});

t.test('real answers are what is described', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { sandbox: true, providers: { deepseek: deepseek.url }, yaml: { registration: { open: true } } });
  const validate = validators(closed(await descriptionOf(house)));
  const headers = { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' };
  const seen = new Set<string>();
  /** Asks, and holds the answer against what is described for its status. */
  const ask = async (method: string, path: string, options: { readonly url?: string; readonly body?: unknown; readonly headers?: Record<string, string> } = {}): Promise<unknown> => {
    const response = await fetch(`${house.url}${options.url ?? path}`, { method, headers: options.headers ?? headers, ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }) });
    const answer: unknown = await response.json();
    const check = validate('paths', path, method.toLowerCase(), 'responses', String(response.status), 'content', 'application/json', 'schema');
    t.ok(check(answer), `${method} ${options.url ?? path} → ${response.status}`, { errors: check.errors, answer });
    seen.add(`${method} ${path} ${response.status}`);
    return answer;
  };
  await ask('POST', '/v1/chat/completions', { body: HELLO });
  await ask('POST', '/v1/chat/completions', { body: { ...HELLO, model: 'sandbox-chat', tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'string' } } } } }] } });
  await ask('POST', '/v1/chat/completions', { body: { ...HELLO, model: 'sandbox-error-400' } });
  await ask('POST', '/v1/chat/completions', { body: { ...HELLO, model: 'nothing' } });
  await ask('POST', '/v1/chat/completions', { body: { ...HELLO, max_tokens: 900_000_000, n: 100 } });
  await ask('POST', '/v1/chat/completions', { body: {} });
  await ask('GET', '/v1/models');
  await ask('GET', '/v1/models/{id}', { url: '/v1/models/sandbox-chat' });
  await ask('GET', '/v1/models/{id}', { url: '/v1/models/nothing' });
  await ask('GET', '/v1/user/balance');
  await ask('GET', '/v1/user/balance', { headers: {} });
  await ask('POST', '/v1/user/credits', { body: { amount: 20 } });
  await ask('POST', '/v1/user/credits', { body: { amount: 'much' } });
  await ask('GET', '/v1/user/recharges');
  await ask('GET', '/v1/user/billing-logs', { url: '/v1/user/billing-logs?limit=2' });
  await ask('GET', '/v1/user/billing-logs', { url: '/v1/user/billing-logs?limit=0' });
  await ask('POST', '/v1/user/byok/register', { body: { provider: 'deepseek', api_key: 'sk-a-good-key-of-mine', name: 'mine' } });
  await ask('POST', '/v1/user/byok/register', { body: { provider: 'deepseek', api_key: 'sk-an-unasked-key', name: 'mine', verify: false } });
  const byok = await ask('GET', '/v1/user/byok/keys');
  await ask('DELETE', '/v1/user/byok/keys/{id}', { url: `/v1/user/byok/keys/${String(at(byok, 'data', 0, 'id'))}` });
  const made = await ask('POST', '/v1/user/keys', { body: { name: 'laptop' } });
  await ask('GET', '/v1/user/keys');
  await ask('DELETE', '/v1/user/keys/{id}', { url: `/v1/user/keys/${String(at(made, 'id'))}` });
  await ask('DELETE', '/v1/user/keys/{id}', { url: '/v1/user/keys/none' });
  await ask('POST', '/v1/auth/register', { body: { email: 'bea@example.com' } });
  await ask('GET', '/healthz');
  await ask('GET', '/readyz');
  for (const [path] of Object.entries({ '/v1/chat/completions': 1, '/v1/models': 1, '/v1/user/balance': 1, '/v1/user/recharges': 1, '/v1/user/billing-logs': 1, '/v1/user/byok/keys': 1, '/v1/user/keys': 1 })) {
    t.ok([...seen].some((one) => one.includes(` ${path} 200`)), `${path} was answered well`);
  }

  const chunk = validate('components', 'schemas', 'ChatCompletionChunk');
  const { events } = await readStream(await house.post({ ...HELLO, model: 'sandbox-reasoning', stream: true, stream_options: { include_usage: true } }));
  for (const event of events.filter((event) => event !== '[DONE]')) t.ok(chunk(event), 'a chunk', { event, errors: chunk.errors });
  const error = validate('components', 'schemas', 'Error');
  const cut = await readStream(await house.post({ ...HELLO, model: 'sandbox-cut', stream: true }));
  t.ok(error(cut.events.at(-1)), 'a failure in-band', { event: cut.events.at(-1), errors: error.errors });
});

/** path, body, whether it is taken, why */
type Sample = readonly [path: string, body: unknown, taken: boolean, why: string];
const chat = (fields: Json, taken: boolean, why: string): Sample => ['/v1/chat/completions', { model: 'sandbox-chat', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 3, ...fields }, taken, why];
const key = (name: unknown, taken: boolean, why: string): Sample => ['/v1/user/keys', { name }, taken, why];
const byok = (fields: Json, taken: boolean, why: string): Sample => ['/v1/user/byok/register', { provider: 'deepseek', api_key: 'sk-0123456789abcdef', name: 'mine', verify: false, ...fields }, taken, why];
const credits = (fields: Json, taken: boolean, why: string): Sample => ['/v1/user/credits', { amount: 20, ...fields }, taken, why];
const email = (written: unknown, taken: boolean, why: string): Sample => ['/v1/auth/register', { email: written }, taken, why];

const SAMPLES: readonly Sample[] = [
  chat({}, true, 'the least'),
  chat({ stream: false, n: 2, temperature: 0.5, stop: ['x'], seed: 3, whatever: { a: 1 } }, true, 'fields of OpenAI, and unknown ones'),
  chat({ stream: null, n: null, max_completion_tokens: null, tools: null, routing: null, provider_key: null }, true, 'null is not there'),
  chat({ routing: 'cheapest' }, true, 'a routing'),
  chat({ routing: 'fastest' }, false, 'no such routing'),
  chat({ routing: 5 }, false, 'no text'),
  chat({ model: '' }, false, 'no name'),
  chat({ model: 7 }, false, 'a number'),
  chat({ model: 'm'.repeat(257) }, false, 'too long a name'),
  chat({ messages: [] }, false, 'no message'),
  chat({ messages: 'Hi' }, false, 'no list'),
  chat({ messages: ['Hi'] }, false, 'no object'),
  chat({ n: 129 }, false, 'too many'),
  chat({ provider_key: 'sk' }, false, 'no object'),
  chat({ provider_key: {} }, false, 'whose?'),
  chat({ provider_key: { provider: '' } }, false, 'whose?'),
  chat({ provider_key: { provider: 'deepseek', api_key: 'two words' } }, false, 'a blank'),
  chat({ provider_key: { provider: 'deepseek', api_key: 5 } }, false, 'no text'),
  ['/v1/chat/completions', ['Hi'], false, 'a list'],
  ['/v1/chat/completions', 'Hi', false, 'a text'],
  key('laptop', true, 'a name'),
  key('  laptop at home ', true, 'blanks around it'),
  key('ä'.repeat(100), true, 'as long as can be'),
  key('😀'.repeat(100), true, 'characters, not code units'),
  key('x'.repeat(101), false, 'too long'),
  key('', false, 'empty'),
  key('   ', false, 'blanks alone'),
  key('a\u0007b', false, 'a bell'),
  key('a\u202eb', false, 'turned round'),
  key(5, false, 'no text'),
  key(null, false, 'null'),
  ['/v1/user/keys', {}, false, 'nothing'],
  ['/v1/user/keys', ['laptop'], false, 'a list'],
  byok({}, true, 'a key'),
  byok({ name: null, region: null, verify: false }, true, 'null is not there'),
  byok({ api_key: ' sk-0123456789abcdef\n' }, true, 'as the clipboard has it'),
  byok({ provider: 'nobody' }, false, 'no such provider'),
  byok({ provider: 5 }, false, 'no text'),
  byok({ api_key: '' }, false, 'empty'),
  byok({ api_key: 'a b' }, false, 'a blank within'),
  byok({ api_key: 'sk-ünïcode' }, false, 'no ASCII'),
  byok({ api_key: `sk-ft_${'0'.repeat(64)}` }, false, 'a key of ours'),
  byok({ api_key: 'k'.repeat(4_097) }, false, 'a file'),
  byok({ verify: 'no' }, false, 'neither true nor false'),
  byok({ region: 5 }, false, 'no text'),
  byok({ name: '' }, false, 'no name'),
  credits({}, true, 'an amount'),
  credits({ amount: '25.50' }, true, 'as text'),
  credits({ amount: 10 }, true, 'the least'),
  credits({ success_url: 'http://localhost:3000/done', cancel_url: null }, true, 'a way back'),
  credits({ amount: 9.99 }, false, 'below the least'),
  credits({ amount: 1_000_000 }, false, 'above the most'),
  credits({ amount: 'ten' }, false, 'no number'),
  credits({ amount: '25.505' }, false, 'half a cent'),
  credits({ amount: true }, false, 'no amount'),
  credits({ success_url: 'done' }, false, 'no address'),
  credits({ success_url: 5 }, false, 'no text'),
  ['/v1/user/credits', {}, false, 'nothing'],
  email('carl@example.com', true, 'an address'),
  email(' carl@example.com ', true, 'blanks around it'),
  email('carl', false, 'no @'),
  email('a@b@c', false, 'two'),
  email('a b@example.com', false, 'a blank within'),
  email(`${'a'.repeat(250)}@example.com`, false, 'too long'),
  email(5, false, 'no text'),
];

/** What only the settings or the provider know: described in words. */
const BEYOND_THE_SCHEMA: readonly Sample[] = [
  credits({ success_url: 'https://elsewhere.example/' }, false, 'an address that is not on the list'),
  credits({ amount: '5' }, false, 'below the least, as text'),
  credits({ amount: 25.505 }, false, 'half a cent, as a number'),
  byok({ region: 'mars' }, false, 'no region of this provider'),
  byok({ provider: 'zhipu' }, false, 'a key of another provider\'s form'),
  chat({ provider_key: { provider: 'nobody', api_key: 'k' } }, false, 'a provider that is not there'),
];

/** What the reader forgives, and a description does not recommend. */
const FORGIVEN: readonly Sample[] = [
  chat({ n: 0 }, true, 'counts as not set'),
  chat({ max_tokens: -1 }, true, 'counts as not set'),
  chat({ routing: ' Cheapest ' }, true, 'however it is written'),
];

t.test('the schema refuses what the daemon refuses, and takes what it takes', async (t) => {
  const house = await openHouse(t, { sandbox: true, credit: '100', yaml: { registration: { open: true }, limits: { requests_per_minute: 100_000 } } });
  const validate = validators(await descriptionOf(house));
  const asked = async ([path, body]: Sample): Promise<{ readonly bySchema: boolean; readonly status: number }> => {
    const check = validate('paths', path, 'post', 'requestBody', 'content', 'application/json', 'schema');
    const response = await fetch(`${house.url}${path}`, { method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
    await response.arrayBuffer();
    return { bySchema: check(body), status: response.status };
  };
  for (const sample of SAMPLES) {
    const [path, , taken, why] = sample;
    const { bySchema, status } = await asked(sample);
    t.equal(bySchema, taken, `${path}: ${why}: by the schema`);
    t.equal(status < 300, taken, `${path}: ${why}: by the daemon (${status})`);
    if (!taken) t.equal(status, 400, why);
  }
  for (const sample of BEYOND_THE_SCHEMA) t.match(await asked(sample), { bySchema: true, status: 400 }, `beyond the schema: ${sample[3]}`);
  for (const sample of FORGIVEN) t.match(await asked(sample), { bySchema: false, status: 200 }, `forgiven: ${sample[3]}`);
});

t.test('a pattern of the description and the reader that has the last word agree on any text', async (t) => {
  const house = await openHouse(t, { books: 'cli' });
  const deepseek = readProvider(house.settings.catalog, 'deepseek');
  const readers: readonly (readonly [name: string, pattern: string, read: (written: string) => unknown, seeds: readonly string[]])[] = [
    ['name', NAME_PATTERN, readName, ['laptop', ' ', '\u202e', '\u0007', 'x'.repeat(60)]],
    ['email', EMAIL_PATTERN, readEmail, ['ann', '@', '.', 'example.com', ' ', '<', '"', 'x'.repeat(130)]],
    ['api_key', SECRET_PATTERN, (written) => readSecret(written, deepseek), ['sk-', 'sk-ft_', ' ', '\n', 'ü', 'a'.repeat(2_100)]],
  ];
  for (const [name, pattern, read, seeds] of readers) {
    const described = new RegExp(pattern, 'u');
    const text = fc.array(fc.oneof(fc.constantFrom(...seeds), fc.string({ maxLength: 3 })), { maxLength: 5 }).map((parts) => parts.join(''));
    fc.assert(fc.property(text, (written) => described.test(written) === !isRefused(() => read(written))), { numRuns: 2_000 });
    t.ok(isRefused(() => read('')), name);
  }
});

function isRefused(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch (error) {
    if (error instanceof Fault) return true;
    throw error;
  }
}
