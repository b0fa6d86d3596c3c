import t from 'tap';
import { readTransport, readWhole } from '../src/wire/index.ts';
import type { Failure, FailureClass, TransportFailure, WholeAnswer } from '../src/wire/index.ts';
import { PROVIDER_ERRORS } from './support/simulated-errors.ts';
import { fixture, MODEL, open } from './support/wire.ts';

const TARGET = { model: MODEL, requestId: 'req_1', createdS: 1_790_000_000 };

function whole(dialect: string, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
  return readWhole({ status, headers, text: typeof body === 'string' ? body : JSON.stringify(body) }, { ...TARGET, dialect });
}

function failed(dialect: string, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Failure | undefined {
  const outcome = whole(dialect, status, body, headers);
  return outcome.kind === 'failed' ? outcome : undefined;
}

function answered(dialect: string, body: unknown): WholeAnswer | undefined {
  const outcome = whole(dialect, 200, body);
  return outcome.kind === 'answered' ? outcome.answer : undefined;
}

// The envelopes, as each provider builds them.
const deepseek = (message: string) => ({ error: { message, type: 'unknown_error', param: null, code: 'invalid_request_error' } });
const zhipu = (code: string) => ({ error: { code, message: 'said in Chinese' } });
const native = (status_code: number) => ({ base_resp: { status_code, status_msg: 'text' }, choices: null });
const minimax = (type: string, http_code: string, inner?: number) => ({ type: 'error', error: { type, message: `text${inner === undefined ? '' : ` (${inner})`}`, http_code }, request_id: '0' });
const windowed = () => ({ base_resp: { status_code: 2013, status_msg: 'invalid params, context window exceeds limit' }, choices: null });
const qwen = (code: string, message = 'text') => ({ error: { message, type: code, param: null, code }, request_id: '0' });
const kimi = (type: string, message = 'text') => ({ error: { type, message } });
const HTML = '<html><head><title>504 Gateway Time-out</title></head></html>';

type Row = readonly [dialect: string, status: number, body: unknown, expected: FailureClass, code: string, why: string];

const DEEPSEEK: readonly Row[] = [
  ['deepseek', 400, deepseek('bad format'),                            'client',   'invalid_request_error', 'bad format'],
  ['deepseek', 400, deepseek("This model's maximum context length is 1048576 tokens"), 'too_long', 'invalid_request_error', 'only the message tells'],
  ['deepseek', 400, deepseek('Model Not Exist'),                       'gone',     'invalid_request_error', 'a retired name'],
  ['deepseek', 400, deepseek('Content Exists Risk'),                   'policy',   'invalid_request_error', 'content, and only the message tells'],
  ['deepseek', 404, deepseek('Not Found'),                             'gone',     'invalid_request_error', 'a retired name, by status'],
  ['deepseek', 401, deepseek('Authentication Fails'),                  'key',      'invalid_request_error', 'a bad key'],
  ['deepseek', 402, deepseek('Insufficient Balance'),                  'money',    'invalid_request_error', 'only the status tells'],
  ['deepseek', 422, deepseek('invalid parameters'),                    'client',   'invalid_request_error', 'parameters'],
  ['deepseek', 429, deepseek('too many'),                              'retry',    'invalid_request_error', 'concurrency of the account'],
  ['deepseek', 500, deepseek('server'),                                'retry',    'invalid_request_error', 'server'],
  ['deepseek', 503, deepseek('overloaded'),                            'retry',    'invalid_request_error', 'overloaded'],
];

const of = (status: number, codes: readonly (number | string)[], expected: FailureClass, why: string): readonly Row[] =>
  codes.map((code) => ['zhipu', status, zhipu(String(code)), expected, String(code), why]);

const ZHIPU: readonly Row[] = [
  ...of(401, [1000, 1001, 1002, 1003, 1004, 1005], 'key', 'authentication'),
  ...of(429, [1113], 'money', 'arrears are said with 429'),
  ...of(429, [1302, 1303, 1304], 'retry', 'rate and concurrency'),
  ...of(429, [1305, 1312], 'overloaded', 'the model is overloaded'),
  ...of(429, [1308, 1310, 1316, 1317, 1318, 1319, 1320, 1321], 'money', 'the window of the plan is used up'),
  ...of(429, [1309, 1311, 1313, 1314, 1315], 'money', 'the plan ended or does not cover it'),
  ...of(400, [1300, 1301], 'policy', 'unsafe content'),
  ...of(400, [1210, 1212, 1213, 1214, 1215], 'client', 'parameters'),
  ...of(400, [1211, 1221, 1222], 'gone', 'unknown model, retired API'),
  ...of(400, [1261], 'too_long', 'prompt too long'),
  ...of(403, [1220, 1110, 1111, 1112, 1121], 'key', 'no permission, account locked'),
  ...of(434, ['x'], 'client', 'beta permission'),
  ...of(435, ['x'], 'client', 'file too large'),
  ...of(500, [500, 1200, 1230, 1234], 'retry', 'server'),
  ['zhipu', 200, { code: 401, msg: 'token expired or incorrect', success: false }, 'key', '401', 'a refused key as its gateway says it'],
  ['zhipu', 200, { code: 500, msg: '404 NOT_FOUND', success: false }, 'gone', '500', 'a wrong address as its gateway says it'],
  ['zhipu', 200, { code: 500, msg: 'Internal error', success: false }, 'retry', '500', 'server, in the same form'],
];

const inner = (codes: readonly number[], http: number, type: string, expected: FailureClass, why: string): readonly Row[] =>
  codes.flatMap((code): Row[] => [
    ['minimax', 200, native(code), expected, String(code), `${why}, inside a 200`],
    ['minimax', http, minimax(type, String(http), code), expected, String(code), `${why}, code in parentheses`],
    ['minimax', 200, minimax(type, String(http), code), expected, String(code), `${why}, code in parentheses inside a 200`],
    ['minimax', http, minimax(type, String(http)), expected, type, `${why}, by type alone`],
  ]);

const MINIMAX: readonly Row[] = [
  ...inner([1004, 2049], 401, 'authorized_error', 'key', 'a bad key'),
  ...inner([1008], 402, 'insufficient_balance_error', 'money', 'no balance'),
  ...inner([1002, 1041, 2045], 429, 'rate_limit_error', 'retry', 'rate'),
  ...inner([1000, 1001, 1013, 1024, 1033], 500, 'server_error', 'retry', 'server'),
  ...inner([1026, 1027], 422, 'unprocessable_entity_error', 'policy', 'sensitive'),
  ...inner([2013, 1042], 400, 'bad_request_error', 'client', 'parameters'),
  ['minimax', 200, native(2056),                                       'money',      '2056', 'the window of the plan is used up'],
  ['minimax', 429, minimax('rate_limit_error', '429', 2056),           'money',      '2056', 'the same with 429: the inner code goes first'],
  ['minimax', 529, minimax('overloaded_error', '529'),                 'overloaded', 'overloaded_error', 'overloaded'],
  ['minimax', 400, minimax('bad_request_error', '400', 1039),          'too_long',   '1039', 'token limit'],
  ['minimax', 200, native(1039),                                       'too_long',   '1039', 'token limit inside a 200'],
  ['minimax', 200, windowed(),                                         'too_long',   '2013', 'over the window, said as a wrong parameter inside a 200'],
  ['minimax', 403, minimax('x', '403', 2061),                          'gone',       '2061', 'the plan does not have the model'],
  ['minimax', 401, native(1004),                                       'key',        '1004', 'the older form: 401 and base_resp'],
  ['minimax', 200, { choices: [{ message: { content: '' } }], input_sensitive: true },  'policy', 'sensitive', 'a 200 with no text and only a flag'],
  ['minimax', 200, { choices: [{ message: { content: '' } }], output_sensitive: true }, 'policy', 'sensitive', 'the same of the answer'],
  ['minimax', 200, { choices: null, input_sensitive: true },           'policy',     'sensitive', 'the flag without any choice'],
  ['minimax', 200, { choices: [{ finish_reason: 'stop' }], output_sensitive: true }, 'policy', 'sensitive', 'the flag without a message'],
];

const QWEN: readonly Row[] = [
  ['qwen', 400, qwen('data_inspection_failed'),                        'policy', 'data_inspection_failed', 'content'],
  ['qwen', 400, qwen('DataInspectionFailed'),                          'policy', 'DataInspectionFailed', 'content, natively'],
  ['qwen', 400, qwen('Arrearage'),                                     'money',  'Arrearage', 'arrears are said with 400'],
  ['qwen', 400, { code: 'Arrearage', message: 'text', request_id: '0' }, 'money', 'Arrearage', 'code and message at the top'],
  ['qwen', 400, qwen('invalid_parameter_error'),                       'client', 'invalid_parameter_error', 'parameters'],
  ['qwen', 400, qwen('invalid_request_error'),                         'client', 'invalid_request_error', 'parameters'],
  ['qwen', 400, qwen('InvalidParameter'),                              'client', 'InvalidParameter', 'parameters'],
  ['qwen', 400, qwen('invalid_parameter_error', 'tokens exceed model limit'), 'too_long', 'invalid_parameter_error', 'the message tells'],
  ['qwen', 400, qwen('InvalidParameter', 'Range of input length should be [1, 30720]'), 'too_long', 'InvalidParameter', 'the message tells'],
  ['qwen', 400, qwen('invalid_parameter_error', 'This model only support stream mode'), 'client', 'invalid_parameter_error', 'a parameter like others'],
  ['qwen', 401, qwen('invalid_api_key'),                               'key',    'invalid_api_key', 'a bad key or region'],
  ['qwen', 403, qwen('AccessDenied.Unpurchased'),                      'key',    'AccessDenied.Unpurchased', 'no access to the model'],
  ['qwen', 403, qwen('Model.AccessDenied'),                            'key',    'Model.AccessDenied', 'no access to the model'],
  ['qwen', 403, qwen('AllocationQuota.FreeTierOnly'),                  'money',  'AllocationQuota.FreeTierOnly', 'the free tier is used up'],
  ['qwen', 404, qwen('model_not_found'),                               'gone',   'model_not_found', 'unknown model'],
  ['qwen', 404, qwen('model_not_supported'),                           'gone',   'model_not_supported', 'unknown model'],
  ['qwen', 429, qwen('limit_requests'),                                'retry',  'limit_requests', 'rate'],
  ['qwen', 429, qwen('limit_burst_rate'),                              'retry',  'limit_burst_rate', 'rate'],
  ['qwen', 429, qwen('Throttling.RateQuota'),                          'retry',  'Throttling.RateQuota', 'rate'],
  ['qwen', 429, qwen('insufficient_quota'),                            'retry',  'insufficient_quota', 'tokens a minute here, not money'],
  ['qwen', 429, qwen('CommodityNotPurchased'),                         'money',  'CommodityNotPurchased', 'nothing bought'],
  ['qwen', 429, qwen('PrepaidBillOverdue'),                            'money',  'PrepaidBillOverdue', 'overdue'],
  ['qwen', 429, qwen('PostpaidBillOverdue'),                           'money',  'PostpaidBillOverdue', 'overdue'],
  ['qwen', 500, qwen('internal_error'),                                'retry',  'internal_error', 'server'],
  ['qwen', 500, qwen('RequestTimeOut'),                                'retry',  'RequestTimeOut', 'server'],
  ['qwen', 500, qwen('internal_error', 'list index out of range'),     'retry',  'internal_error', "a client's fault dressed as ours: tried again, then given up"],
  ['qwen', 503, qwen('ModelUnavailable'),                              'retry',  'ModelUnavailable', 'server'],
  ['qwen', 503, qwen('ModelServingError'),                             'retry',  'ModelServingError', 'server'],
];

const KIMI: readonly Row[] = [
  ['kimi', 400, kimi('content_filter'),                                'policy', 'content_filter', 'content'],
  ['kimi', 400, kimi('invalid_request_error', 'Your request exceeded model token limit: 262144'), 'too_long', 'invalid_request_error', 'the message tells'],
  ['kimi', 400, kimi('invalid_request_error', 'total message size 2100954 exceeds limit 2097152'), 'too_long', 'invalid_request_error', 'too many bytes, which is as bad'],
  ['kimi', 400, kimi('invalid_request_error', 'Input token length too long'), 'too_long', 'invalid_request_error', 'the message tells'],
  ['kimi', 400, kimi('invalid_request_error', 'invalid temperature'),  'client', 'invalid_request_error', 'parameters'],
  ['kimi', 401, kimi('invalid_authentication_error'),                  'key',    'invalid_authentication_error', 'a bad key'],
  ['kimi', 401, kimi('incorrect_api_key_error'),                       'key',    'incorrect_api_key_error', 'a bad key'],
  ['kimi', 403, kimi('permission_denied_error'),                       'key',    'permission_denied_error', 'no permission'],
  ['kimi', 404, kimi('resource_not_found_error'),                      'gone',   'resource_not_found_error', 'unknown model'],
  ['kimi', 429, kimi('exceeded_current_quota_error'),                  'money',  'exceeded_current_quota_error', 'no money is said with 429'],
  ['kimi', 429, kimi('rate_limit_reached_error'),                      'retry',  'rate_limit_reached_error', 'rate'],
  ['kimi', 429, kimi('engine_overloaded_error'),                       'overloaded', 'engine_overloaded_error', 'overloaded'],
  ['kimi', 499, kimi('client_closed_request'),                         'next',   'client_closed_request', 'broken off'],
  ['kimi', 500, kimi('server_error'),                                  'retry',  'server_error', 'server'],
  ['kimi', 500, kimi('unexpected_output'),                             'retry',  'unexpected_output', 'server'],
  ['kimi', 503, kimi('server_unavailable'),                            'retry',  'server_unavailable', 'server'],
  ['kimi', 504, HTML,                                                  'retry',  '', 'a page after 900 s'],
];

const OTHERS: readonly Row[] = [
  ['stepfun', 400, kimi('x'),                                          'client', 'x', 'parameters'],
  ['stepfun', 401, kimi('x'),                                          'key',    'x', 'a bad key'],
  ['stepfun', 402, kimi('x'),                                          'money',  'x', 'no money'],
  ['stepfun', 404, kimi('x'),                                          'gone',   'x', 'unknown model'],
  ['stepfun', 451, kimi('censorship_blocked'),                         'policy', 'censorship_blocked', 'content'],
  ['stepfun', 429, kimi('x'),                                          'retry',  'x', 'rate'],
  ['openai', 429, qwen('insufficient_quota'),                          'money',  'insufficient_quota', "OpenAI's own meaning"],
  ['openai', 400, qwen('context_length_exceeded'),                     'too_long', 'context_length_exceeded', "OpenAI's code"],
  ['openai', 400, qwen('content_policy_violation'),                    'policy', 'content_policy_violation', "OpenAI's code"],
  ['openai', 404, qwen('model_not_found'),                             'gone',   'model_not_found', "OpenAI's code"],
  ['nobody', 400, { object: 'error', message: "This model's maximum context length is 4096 tokens", code: 400 }, 'too_long', '400', 'the form of vLLM'],
  ['nobody', 400, { error: 'plain text' },                             'client', '', 'error as text'],
  ['nobody', 400, { detail: 'plain text' },                            'client', '', 'another form'],
  ['nobody', 400, { error: { message: 'x', code: null, type: null } }, 'client', '', 'nulls'],
  ['nobody', 400, '',                                                  'next',   '', 'nothing said: no word on the request'],
  ['nobody', 403, HTML,                                                'next',   '', 'a page is no word on the key'],
  ['nobody', 404, HTML,                                                'gone',   '', 'a path that is not there'],
  ['nobody', 302, '',                                                  'next',   '', 'never followed'],
  ['nobody', 405, '',                                                  'next',   '', 'nothing said: a proxy or a firewall answers with it too'],
  ['nobody', 405, HTML,                                                'next',   '', 'the page of a firewall'],
  ['nobody', 405, { error: { message: 'Method Not Allowed' } },        'gone',   '', 'the provider itself: not that method there'],
  ['nobody', 407, HTML,                                                'next',   '', 'a proxy wants to be paid respect'],
  ['nobody', 408, '',                                                  'retry',  '', 'passing'],
  ['nobody', 413, '',                                                  'too_long', '', 'too large for this one'],
  ['nobody', 418, '',                                                  'next',   '', 'any other 4xx that says nothing'],
  ['nobody', 418, { error: 'short and stout' },                        'client', '', 'any other 4xx'],
  ['nobody', 422, { detail: [{ loc: ['body', 'n'], msg: 'too large', type: 'value_error' }] }, 'client', '', 'the form of servers that check against a schema'],
  ['nobody', 422, { detail: [] },                                      'next',   '', 'nothing said'],
  ['nobody', 500, '{',                                                 'retry',  '', 'any 5xx'],
  ['nobody', 502, HTML,                                                'retry',  '', 'any 5xx'],
  ['nobody', 504, '',                                                  'retry',  '', 'any 5xx'],
  ['nobody', 529, '',                                                  'overloaded', '', 'the number of overload'],
  ['nobody', 599, '',                                                  'retry',  '', 'any 5xx'],
  ['nobody', 100, '',                                                  'next',   '', 'no answer at all'],
  ['nobody', 204, '',                                                  'next',   'empty_body', 'nothing'],
  ['nobody', 200, '',                                                  'next',   'empty_body', 'nothing'],
  ['nobody', 200, ' \n ',                                              'next',   'empty_body', 'only blanks'],
  ['nobody', 200, HTML,                                                'next',   'invalid_json', 'a page'],
  ['nobody', 200, '{"choices":[{"message":{"content":"cut',            'next',   'invalid_json', 'cut off'],
  ['nobody', 200, '[]',                                                'next',   'invalid_json', 'a list'],
  ['nobody', 200, {},                                                  'next',   'no_choices', 'no choices'],
  ['nobody', 200, { choices: null },                                   'next',   'no_choices', 'null'],
  ['nobody', 200, { choices: [] },                                     'next',   'no_choices', 'an empty list'],
  ['nobody', 200, { choices: [null] },                                 'next',   'no_message', 'no choice'],
  ['nobody', 200, { choices: [{ message: null }] },                    'next',   'no_message', 'no message'],
  ['nobody', 200, { choices: null, error_type: 'server_error', error_message: 'x' }, 'retry', 'server_error', 'the newer form'],
  ['nobody', 200, { choices: [], error: { message: 'x', type: 'invalid_request_error' } }, 'client', 'invalid_request_error', 'an error inside a 200'],
  ['nobody', 200, { error: { message: 'x', type: 'authentication_error' } }, 'key', 'authentication_error', 'an error inside a 200'],
  ['nobody', 200, { error: { message: 'x', type: 'whatever' } },       'next',   'whatever', 'an unknown one'],
  ['nobody', 200, { error: { message: 'x', status: 429 } },            'retry',  '', 'the body names the status'],
  ['nobody', 200, { error: { message: 'bad n', type: 'BadRequestError', code: 400 } }, 'client', '400', 'and some name it as the code'],
  ['nobody', 200, { error: { message: "This model's maximum context length is 4096 tokens", type: 'BadRequestError', code: 400 } }, 'too_long', '400', 'with all that it stands for'],
  ['nobody', 200, { error: { message: 'x', type: 'Unauthorized', code: 401 } }, 'key', '401', 'the same'],
  ['zhipu', 200, zhipu('1301'),                                        'policy', '1301', 'an error without a type is an error'],
  ['zhipu', 200, { choices: [{ message: { content: 'x' }, finish_reason: 'network_error' }] }, 'retry', 'network_error', 'it broke off'],
  ['deepseek', 200, { choices: [{ message: { content: 'x' }, finish_reason: 'insufficient_system_resource' }] }, 'overloaded', 'insufficient_system_resource', 'it broke off'],
  ['deepseek', 200, { choices: [{ message: { content: 'x' }, finish_reason: 'aborted' }] }, 'retry', 'aborted', 'it broke off'],
];

t.test('every known way to fail has its class', async (t) => {
  for (const [dialect, status, body, expected, code, why] of [...DEEPSEEK, ...ZHIPU, ...MINIMAX, ...QWEN, ...KIMI, ...OTHERS]) {
    const failure = failed(dialect, status, body);
    t.strictSame([failure?.class, failure?.providerCode], [expected, code], `${dialect} ${status} ${code}: ${why}`);
  }
});

t.test("what a provider refuses means the same inside a 200, for it may come in a stream's frame", async (t) => {
  /** Whose codes say nothing without their status; the page of a proxy is no answer at all inside a 200. */
  const unlike: Readonly<Record<string, readonly string[]>> = {
    deepseek: ['parameters', 'risk', 'gone', 'too_long'], stepfun: ['money', 'rate', 'invalid', 'overloaded'], kimi: ['html'], zhipu: [], minimax: [], qwen: [],
  };
  for (const [dialect, errors] of Object.entries(PROVIDER_ERRORS)) {
    for (const [name, error] of Object.entries(errors)) {
      if (unlike[dialect]?.includes(name) === true) continue;
      const inside = failed(dialect, 200, error.body);
      const outside = failed(dialect, error.status, error.body);
      t.strictSame([inside?.class, inside?.status === 429], [outside?.class, outside?.status === 429 && outside.class !== 'money'], `${dialect}: ${name}`);
    }
  }
});

t.test('a failure bears a status that says what it is', async (t) => {
  const cases = [
    ['kimi', 429, kimi('exceeded_current_quota_error'), 429, "the provider's own"],
    ['minimax', 200, native(1004), 401, 'a key refused inside a 200'],
    ['minimax', 200, native(2013), 400, "the client's fault inside a 200"],
    ['minimax', 200, native(1008), 402, 'no money inside a 200'],
    ['minimax', 200, native(1000), 503, 'passing, inside a 200'],
    ['minimax', 200, native(1002), 429, 'a rate limit inside a 200 is no outage'],
    ['minimax', 200, { error: { type: 'rate_limit_error', message: 'x' } }, 429, 'the same, by its type'],
    ['zhipu', 200, zhipu('1302'), 429, 'the same'],
    ['qwen', 200, qwen('limit_requests'), 429, 'the same'],
    ['qwen', 200, qwen('Throttling.RateQuota'), 429, 'the same'],
    ['kimi', 200, kimi('rate_limit_reached_error'), 429, 'the same'],
    ['zhipu', 200, zhipu('1305'), 429, 'a busy model is said with 429, and is no outage inside a 200 either'],
    ['zhipu', 200, zhipu('1312'), 429, 'the same'],
    ['kimi', 200, kimi('engine_overloaded_error'), 429, 'the same'],
    ['minimax', 200, minimax('overloaded_error', '529'), 529, 'where it has a number of its own that counts'],
    ['nobody', 200, { error: { code: 429, message: 'x' } }, 429, 'said as a code'],
    ['nobody', 200, { error: { code: 503, message: 'x' } }, 503, 'said as a code'],
    ['nobody', 200, { error: { code: '404', message: 'x' } }, 404, 'as a text'],
    ['nobody', 200, { object: 'error', code: 400, message: 'x' }, 400, 'at the top'],
    ['nobody', 200, { choices: null, error_type: 'x', error_code: 422, error_message: 'x' }, 422, 'in the newer form'],
    ['zhipu', 200, zhipu('1211'), 404, 'a code of its own is no status'],
    ['qwen', 503, qwen('limit_requests'), 503, 'one of the 5xx stands'],
    ['qwen', 400, qwen('Throttling.AllocationQuota'), 429, 'a limit said with 400'],
    ['qwen', 403, qwen('AllocationQuota.FreeTierOnly'), 403, 'the end of money is no limit'],
    ['minimax', 200, minimax('unprocessable_entity_error', '422', 1026), 422, 'the body names it'],
    ['nobody', 200, '', 502, 'nothing'],
  ] as const;
  for (const [dialect, status, body, expected, why] of cases) t.equal(failed(dialect, status, body)?.status, expected, why);
});

t.test('a fault of the request in the dress of the server\'s is known for doubtful', async (t) => {
  for (const message of ['list index out of range', "Role must be in ['system', 'user']"]) {
    t.match(failed('qwen', 500, qwen('internal_error', message)), { class: 'retry', status: 500, doubtful: true }, message);
  }
  for (const status of [400, 403, 405, 407, 422]) t.match(failed('qwen', status, '<html>blocked</html>'), { class: 'next', doubtful: true }, 'nor is a page of something before the provider');
  t.equal(failed('qwen', 403, qwen('internal_error'))?.doubtful, undefined, 'where the provider speaks itself there is no doubt');
  t.equal(failed('qwen', 500, qwen('internal_error'))?.doubtful, undefined, 'not every 500');
  t.equal(failed('zhipu', 500, qwen('internal_error', 'list index out of range'))?.doubtful, undefined, 'nor of everybody');
});

t.test('an answer that is none is not asked for again at the same provider; a refusal may be', async (t) => {
  t.equal(failed('nobody', 200, '{')?.maybeServed, true);
  t.equal(failed('nobody', 200, { choices: null })?.maybeServed, true);
  t.equal(failed('nobody', 500, '{')?.maybeServed, false);
  t.equal(failed('minimax', 200, native(1002))?.maybeServed, false);
});

t.test("a code is a word, a message is kept short, neither is the whole body", async (t) => {
  const failure = failed('nobody', 400, { error: { message: 'm'.repeat(5_000), code: `co de\r\n<b>${'x'.repeat(100)}` } });
  t.equal(failure?.message.length, 1_000);
  t.match(failure?.providerCode, /^codebx{59}$/);
});

t.test('Retry-After counts in seconds, within reason', async (t) => {
  const cases = [
    ['7', 7_000, 'seconds'], ['0', undefined, 'no time is named'], ['0.0', undefined, 'no time is named'], ['1.5', 1_500, 'a fraction'], ['3600', 3_600_000, 'an hour'], ['7200', 3_600_000, 'more is an hour'],
    ['1000000000', undefined, 'absurd'], ['90000', undefined, 'more than a day'], ['-5', undefined, 'negative'], ['soon', undefined, 'a word'],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined, 'a date needs a clock'], ['', undefined, 'empty'], ['1e3', undefined, 'not plain'],
  ] as const;
  for (const [value, expected, why] of cases) t.strictSame(failed('kimi', 429, kimi('engine_overloaded_error'), { 'retry-after': value })?.retryAfterMs, expected, why);
  t.equal(failed('kimi', 429, kimi('x'))?.retryAfterMs, undefined);
});

t.test('a request that was sent and not answered is not sent there again', async (t) => {
  const cases: readonly (readonly [TransportFailure, boolean, FailureClass, boolean, string])[] = [
    // failure     sent   class    maybe served  why
    ['connect',    false, 'retry', false,        'nothing left'],
    ['dns',        false, 'retry', false,        'nothing left'],
    ['tls',        false, 'retry', false,        'nothing left'],
    ['connect',    true,  'retry', false,        'whatever is said of it'],
    ['timeout',    true,  'next',  true,         'it may be at work'],
    ['timeout',    false, 'retry', false,        'it never left'],
    ['reset',      true,  'next',  true,         'it may have been at work'],
    ['reset',      false, 'retry', false,        'it never left'],
    ['too_large',  true,  'next',  true,         'it would be as large again'],
    ['encoding',   true,  'next',  true,         'it would be encoded again'],
    ['redirect',   true,  'next',  true,         'it would lead elsewhere again'],
    ['aborted',    true,  'next',  true,         'we broke off'],
    ['aborted',    false, 'next',  false,        'we broke off'],
  ];
  for (const [failure, sent, expected, maybeServed, why] of cases) {
    t.match(readTransport(failure, sent), { kind: 'failed', class: expected, status: 0, providerCode: failure, maybeServed }, `${failure}: ${why}`);
  }
});

t.test("a whole answer looks like OpenAI's, whoever gave it", async (t) => {
  const cases = [
    // provider   reasoning   reasoning tokens   further fields
    ['deepseek', 'hm',        30,                ['system_fingerprint']],
    ['zhipu',    undefined,   0,                 []],
    ['minimax',  undefined,   0,                 []],
    ['qwen',     undefined,   30,                ['system_fingerprint']],
    ['kimi',     undefined,   0,                 ['system_fingerprint']],
    ['stepfun',  'hm',        0,                 []],
  ] as const;
  for (const [provider, reasoning, reasoningTokens, further] of cases) {
    const answer = answered(provider, fixture(`${provider}/whole.json`));
    const { id, created, choices, ...body } = answer?.body ?? {};
    t.strictSame([typeof id, typeof created], ['string', 'number'], provider);
    t.match(choices, [{ index: 0, message: { role: 'assistant', content: 'Hello "wörld" 你好' }, finish_reason: 'stop' }], `${provider}: the message`);
    t.match(choices, [{ message: { reasoning_content: reasoning } }], `${provider}: the reasoning`);
    t.strictSame(Object.keys(body).sort(), ['model', 'object', 'usage', ...further].sort(), `${provider}: nothing else`);
    t.strictSame([body['model'], body['object']], [MODEL.id, 'chat.completion'], `${provider}: our name for the model`);
    t.notMatch(JSON.stringify(choices), /audio_content|MiniMax|"reasoning":/, `${provider}: no extras`);
    t.strictSame(body['usage'], {
      prompt_tokens: 1_900, completion_tokens: 130, total_tokens: 2_030,
      prompt_tokens_details: { cached_tokens: 1_200 }, completion_tokens_details: { reasoning_tokens: reasoningTokens },
      prompt_cache_hit_tokens: 1_200, prompt_cache_miss_tokens: 700,
    }, `${provider}: usage in OpenAI's form`);
    t.strictSame(answer?.usage, { origin: 'reported', prompt: 1_900, cached: 1_200, completion: 130, reasoning: reasoningTokens }, `${provider}: usage for the books`);
  }
});

t.test('an answer that is nested too deep is broken', async (t) => {
  const nested = (levels: number, brackets: readonly [string, string]) => `${brackets[0].repeat(levels)}${brackets[1].repeat(levels)}`;
  const lists = (levels: number) => nested(levels, ['[', ']']);
  const body = (inside: string) => `{"choices":[{"message":{"content":"x","more":${inside}}}]}`;
  const cases = [
    // text                                         broken  why
    [body(lists(124)),                              false,  '128 levels, with the four around them'],
    [body(lists(125)),                              true,   '129'],
    [body(lists(50_000)),                           true,   'more than JSON can be written with'],
    [body(`${'{"a":'.repeat(125)}1${'}'.repeat(125)}`), true, 'objects'],
    [body(`${'[{"a":'.repeat(62)}1${'}]'.repeat(62)}`), false, 'in turn: 128'],
    [body(`${'[{"a":'.repeat(63)}1${'}]'.repeat(63)}`), true, 'in turn: 130'],
    [body(`[${Array.from({ length: 500 }, () => '{"a":[]}').join(',')}]`), false, 'many beside each other'],
    [body(JSON.stringify('{['.repeat(500))),        false,  'brackets within a text'],
  ] as const;
  for (const [text, broken, why] of cases) {
    t.match(whole('openai', 200, text), broken ? { kind: 'failed', class: 'next', providerCode: 'too_deep' } : { kind: 'answered' }, why);
    const stream = open('openai');
    const ready = stream.take({ data: text.replace('"message"', '"delta"'), name: '' });
    t.strictSame([stream.failure?.providerCode, ready.length], broken ? ['too_deep', 0] : [undefined, 1], `${why}, in a frame`);
  }
});

t.test('what is missing in an answer is filled in, what is unknown stays', async (t) => {
  const bare = answered('openai', { choices: [{ message: { content: 'hello', foo: 1 }, bar: 2 }], baz: 3 });
  t.strictSame(bare, {
    body: {
      choices: [{ bar: 2, index: 0, message: { content: 'hello', foo: 1, role: 'assistant' }, finish_reason: 'stop' }],
      baz: 3, id: 'chatcmpl-req_1', object: 'chat.completion', created: 1_790_000_000, model: MODEL.id,
    },
    usage: undefined,
    completionEstimate: 2,
  });
  const call = { id: 'c1', type: 'function', function: { name: 'ab', arguments: '{"x":1}' } };
  const calling = answered('zhipu', { choices: [{ message: { role: 'assistant', tool_calls: [call] }, finish_reason: '' }] });
  t.match(calling?.body['choices'], [{ message: { content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }]);
  t.equal(calling?.completionEstimate, 3, 'nine letters of a call');
  const bareCalls = [{ function: { name: 'ab', arguments: { x: 1 } } }, { id: '', type: '', function: { name: 'cd' } }, { id: 'c3', type: 'custom', custom: { name: 'ef', input: 'x' } }];
  t.match(answered('openai', { choices: [{ message: { tool_calls: bareCalls } }] })?.body['choices'], [{
    message: {
      tool_calls: [
        { id: 'call_req_1_0_0', type: 'function', function: { name: 'ab', arguments: '{"x":1}' } },
        { id: 'call_req_1_0_1', type: 'function', function: { name: 'cd', arguments: '{}' } },
        bareCalls[2],
      ],
    },
  }], 'calls without an id, a type or arguments in text');
  const cases = [['sensitive', 'content_filter'], ['model_context_window_exceeded', 'length'], ['length', 'length'], ['', 'stop'], [null, 'stop']] as const;
  for (const [given, expected] of cases) {
    t.match(answered('zhipu', { choices: [{ message: { content: '' }, finish_reason: given }] })?.body['choices'], [{ finish_reason: expected }], `${given} is ${expected}`);
  }
  t.equal(answered('minimax', { choices: [{ message: { content: 'x' } }], input_sensitive: false, base_resp: { status_code: 0 } })?.body['base_resp'], undefined);
  t.ok(answered('openai', { choices: [{ message: { content: 'x' } }], error: null }), 'error: null is no error');
  t.ok(answered('openai', { choices: [{ message: { content: 'x' } }], code: 'x', message: 'ok' }), 'a code beside choices is none');
  t.equal(answered('openai', { choices: [{ message: { content: 'x' } }], usage: { prompt_tokens: -1, completion_tokens: 2 } })?.body['usage'], undefined, 'nonsense is not passed on');
});

t.test('of a whole answer no more choices are read than can be asked for', async (t) => {
  const choices = Array.from({ length: 300_000 }, (_, index) => ({ index, message: { content: 'xxxxx' } }));
  const answer = answered('nobody', { choices });
  const kept = answer?.body['choices'];
  t.equal(Array.isArray(kept) ? kept.length : undefined, 128);
  t.equal(answer?.completionEstimate, 192, 'and no more are counted');
});
