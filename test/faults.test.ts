import fc from 'fast-check';
import t from 'tap';
import { Fault, FAULTS, toEnvelope } from '../src/faults.ts';
import type { FaultCode } from '../src/faults.ts';

const codes = Object.keys(FAULTS) as FaultCode[];
const attempt = { provider: 'kimi', model: 'kimi-k2', status: 500, class: 'retry', ms: 12 };

/** code, status, type, why callers rely on it. The HTTP reference has the same table. */
const table: readonly (readonly [FaultCode, number, string, string])[] = [
  ['invalid_json', 400, 'invalid_request_error', 'a body that is no JSON'],
  ['invalid_request', 400, 'invalid_request_error', 'a body that is JSON and no request'],
  ['context_length_exceeded', 400, 'invalid_request_error', 'too long for the model; the SDKs look for this code'],
  ['content_filter', 400, 'invalid_request_error', 'declined by the provider'],
  ['invalid_api_key', 401, 'invalid_request_error', 'missing, malformed, unknown or revoked: one answer for all'],
  ['invalid_provider_key', 401, 'invalid_request_error', 'the BYOK key was refused'],
  ['insufficient_credits', 402, 'insufficient_quota', 'the balance does not cover the hold'],
  ['provider_balance_exhausted', 402, 'insufficient_quota', "the caller's own account at the provider is empty"],
  ['account_inactive', 403, 'permission_error', 'pending or deactivated'],
  ['origin_not_allowed', 403, 'permission_error', 'a browser of another site'],
  ['model_not_found', 404, 'invalid_request_error', 'with the nearest name'],
  ['not_found', 404, 'invalid_request_error', 'a path or a thing that is not there'],
  ['method_not_allowed', 405, 'invalid_request_error', 'a path that is there, with another verb'],
  ['request_timeout', 408, 'invalid_request_error', 'a body that does not arrive'],
  ['request_too_large', 413, 'invalid_request_error', 'a body past limits.body_bytes'],
  ['unsupported_media_type', 415, 'invalid_request_error', 'a body that does not say it is JSON'],
  ['expectation_failed', 417, 'invalid_request_error', 'a wish of the client that we do not know'],
  ['misdirected_request', 421, 'invalid_request_error', 'a Host that is not ours'],
  ['idempotency_conflict', 422, 'invalid_request_error', 'never 409: the SDKs would retry it'],
  ['rate_limit_exceeded', 429, 'rate_limit_error', "the account's own limit"],
  ['headers_too_large', 431, 'invalid_request_error', 'headers past the parser'],
  ['internal_error', 500, 'api_error', 'a bug of ours'],
  ['provider_failed', 502, 'api_error', 'broken off in mid-stream'],
  ['providers_unavailable', 503, 'api_error', 'every candidate failed'],
  ['overloaded', 503, 'api_error', 'too much at once'],
  ['payments_unavailable', 503, 'api_error', 'nobody takes money here, or nobody answers'],
  ['storage_unavailable', 503, 'api_error', 'the books cannot be written'],
];

t.test('every refusal has the status and type that callers rely on', async (t) => {
  for (const [code, status, type, why] of table) {
    t.match(new Fault(code), { name: 'Fault', code, status, type, param: null }, `${code}: ${why}`);
  }
  t.same(codes.toSorted(), table.map(([code]) => code).toSorted(), 'no code without a line here');
  t.ok(new Fault('not_found') instanceof Error, 'a fault can be thrown');
});

t.test('a text says what is wrong and leaves no hole', async (t) => {
  for (const code of codes) {
    const holes = [...FAULTS[code].text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
    t.notMatch(new Fault(code).message, /[{}]/, `${code} without fillings shows no hole`);
    const fill = Object.fromEntries(holes.map((hole) => [hole, `<${hole}>`]));
    const { message } = new Fault(code, { fill });
    for (const hole of holes) t.ok(message.includes(`<${hole}>`), `${code} shows its ${hole}`);
    t.notMatch(message, /[{}]/, `${code} has no other hole`);
  }
  t.equal(new Fault('insufficient_credits', { fill: { need: '0.50', available: '0.10' } }).message.split('.').slice(0, 3).join('.'),
    'Insufficient credits: up to $0.50 needed, $0.10 available', 'dollars keep their sign');
  t.equal(new Fault('request_too_large', { fill: { limit: 20_971_520 } }).message.includes('20971520 bytes'), true, 'a number fills as it is written');

  t.equal(new Fault('invalid_json').message, 'The request body is not valid JSON.', 'a hole without a filling becomes empty');

  const odd = ['{model}', '$&', '$1', '$$', '', '\\'];
  for (const text of odd) t.equal(new Fault('invalid_request', { fill: { detail: text } }).message, text, `${JSON.stringify(text)} fills literally, and is not filled again`);
  const run = fc.check(fc.property(fc.string(), (text) => new Fault('not_found', { fill: { detail: text } }).message === text));
  t.notOk(run.failed, 'so does any text', { found: run.counterexample });
});

t.test('headers tell a client when to come back, and when not to', async (t) => {
  const cases = [
    // code, seconds, Retry-After, why
    ['rate_limit_exceeded', 7, '7', 'as asked'],
    ['rate_limit_exceeded', undefined, '1', 'some clients give up at once without it'],
    ['rate_limit_exceeded', 0, '1', 'at least a second'],
    ['rate_limit_exceeded', -5, '1', 'never negative'],
    ['rate_limit_exceeded', 0.2, '1', 'whole seconds, up'],
    ['rate_limit_exceeded', 7.2, '8', 'whole seconds, up'],
    ['rate_limit_exceeded', 3_600, '60', 'some clients wait out any number: at most a minute'],
    ['rate_limit_exceeded', Number.POSITIVE_INFINITY, '60', 'at most a minute'],
    ['providers_unavailable', 30, '30', 'a 503 bears it too'],
    ['overloaded', undefined, '1', 'every 503 bears it'],
    ['storage_unavailable', undefined, '1', 'every 503 bears it'],
    ['internal_error', 5, undefined, 'no other status bears it'],
    ['insufficient_credits', 5, undefined, 'credits do not come by waiting'],
  ] as const;
  for (const [code, retryAfterS, expected, why] of cases) {
    t.equal(new Fault(code, retryAfterS === undefined ? {} : { retryAfterS }).headers['retry-after'], expected, `${code}: ${why}`);
  }
  for (const code of codes) {
    const { status, headers } = new Fault(code);
    t.equal(headers['x-should-retry'], status === 402 ? 'false' : undefined, `${code}: only an empty purse forbids a retry by itself`);
    t.equal(headers['www-authenticate'], status === 401 ? 'Bearer' : undefined, `${code}: a 401 names the scheme`);
  }
  t.equal(new Fault('providers_unavailable', { shouldRetry: false }).headers['x-should-retry'], 'false', 'a 503 whose attempts are spent');
  t.equal(new Fault('providers_unavailable', { shouldRetry: true }).headers['x-should-retry'], undefined, 'a 503 worth a retry');
  t.same(new Fault('method_not_allowed', { headers: { allow: 'GET' } }).headers, { allow: 'GET' }, 'further headers pass');
});

t.test("the body is OpenAI's error object", async (t) => {
  t.same(toEnvelope(new Fault('invalid_request', { fill: { detail: 'n must be 1.' }, param: 'n' }), 'req_1'), {
    error: { message: 'n must be 1.', type: 'invalid_request_error', code: 'invalid_request', param: 'n' },
  }, 'four fields, no more');
  t.equal(toEnvelope(new Fault('not_found'), 'req_1').error.param, null, 'param is null, never missing');
  t.same(toEnvelope(new Fault('providers_unavailable', { attempts: [attempt] }), 'req_1').error.metadata, { request_id: 'req_1', attempts: [attempt] }, 'a chat call adds what was tried');
  t.same(toEnvelope(new Fault('rate_limit_exceeded', { attempts: [] }), 'req_1').error.metadata, { request_id: 'req_1', attempts: [] }, 'or that nothing was');
  for (const code of codes) {
    const { error } = toEnvelope(new Fault(code), 'req_1');
    t.same(Object.keys(error), ['message', 'type', 'code', 'param'], `${code} has OpenAI's fields`);
    t.equal(error.code, code);
  }
});
