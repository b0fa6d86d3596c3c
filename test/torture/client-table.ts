/** E9 to E26: what a client can send that nobody should, and the answer it must get. Each is one connection. */

export interface OddRequest {
  readonly id: string;
  readonly what: string;
  /** The bytes, given a head that names Host and key. */
  readonly bytes: (head: string) => string | Buffer;
  /** Statuses that are right. */
  readonly status: readonly number[];
  /** Whether a provider may have been asked; left out: never. */
  readonly served?: true;
  /** What must stand in the answer. */
  readonly shows?: RegExp;
}

const PATH = 'POST /v1/chat/completions HTTP/1.1\r\n';
const HELLO = '{"model":"torture-chat","max_tokens":9,"messages":[{"role":"user","content":"tag:odd hello"}]}';
const JSON_TYPE = 'content-type: application/json\r\n';

function post(body: string | Buffer, headers = JSON_TYPE): (head: string) => Buffer {
  const bytes = Buffer.from(body);
  return (head) => Buffer.concat([Buffer.from(`${PATH}${head}${headers}content-length: ${bytes.length}\r\n\r\n`, 'latin1'), bytes]);
}

/** The body's hello with these members before its own. */
function withFields(fields: string): string {
  return HELLO.replace('{', `{${fields},`);
}

function lines(request: string, headers: string, body = ''): (head: string) => string {
  return (head) => `${request}\r\n${head}${headers}\r\n${body}`;
}

export const BODY_LIMIT = 20_971_520;

const BODIES: readonly OddRequest[] = [
  { id: 'E9', what: 'a body one byte over the limit', bytes: (head) => `${PATH}${head}${JSON_TYPE}content-length: ${BODY_LIMIT + 1}\r\n\r\n`, status: [413] },
  { id: 'E9', what: 'a chunked body that grows over the limit', bytes: (head) => Buffer.concat([Buffer.from(`${PATH}${head}${JSON_TYPE}transfer-encoding: chunked\r\n\r\n${(BODY_LIMIT + 1).toString(16)}\r\n`), Buffer.alloc(BODY_LIMIT + 1, 32), Buffer.from('\r\n0\r\n\r\n')]), status: [413] },
  { id: 'E10', what: '129 levels', bytes: post(withFields(`"x":${'['.repeat(128)}${']'.repeat(128)}`)), status: [400], shows: /invalid_json/ },
  { id: 'E10', what: 'five million levels', bytes: post('['.repeat(5_000_000)), status: [400], shows: /invalid_json/ },
  { id: 'E11', what: 'ten megabytes of digits', bytes: post(withFields(`"seed":${'9'.repeat(10_000_000)}`)), status: [200, 400, 402], served: true },
  { id: 'E12', what: 'half a JSON', bytes: post(HELLO.slice(0, -3)), status: [400], shows: /invalid_json/ },
  { id: 'E12', what: 'UTF-16', bytes: post(Buffer.from(HELLO, 'utf16le')), status: [400], shows: /invalid_json/ },
  { id: 'E12', what: 'a byte order mark', bytes: post(`\ufeff${HELLO}`), status: [200, 400], served: true },
  { id: 'E12', what: 'bytes that are no UTF-8', bytes: post(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])), status: [400], shows: /invalid_json/ },
  { id: 'E13', what: 'half a surrogate pair', bytes: post(HELLO.replace('hello', '\\ud800')), status: [200, 400], served: true },
  { id: 'E14', what: 'the model twice', bytes: post(withFields('"model":"no-such-model"')), status: [200], served: true },
  { id: 'E14', what: 'stream twice', bytes: post(withFields('"stream":true,"stream":false')), status: [200], served: true, shows: /content-type: application\/json/ },
  { id: 'E14', what: 'max_tokens twice', bytes: post(withFields('"max_tokens":999999999')), status: [200], served: true },
  { id: 'E14', what: 'provider_key twice', bytes: post(withFields('"provider_key":{"provider":"torture","api_key":"sk-first"},"provider_key":{"provider":"nobody","api_key":"sk-second"}')), status: [400] },
  { id: 'E15', what: '__proto__ and constructor', bytes: post(withFields('"__proto__":{"model":"x","polluted":1},"constructor":{"prototype":{"polluted":1}}')), status: [200], served: true },
  { id: 'E16', what: 'text/plain, as a web form can send it', bytes: post(HELLO, 'content-type: text/plain\r\n'), status: [415] },
  { id: 'E16', what: 'no content type', bytes: post(HELLO, ''), status: [415] },
  { id: 'E17', what: 'a compressed body', bytes: post(HELLO, `${JSON_TYPE}content-encoding: gzip\r\n`), status: [415] },
  { id: 'E18', what: 'chunks without a length', bytes: lines(PATH.trim(), `${JSON_TYPE}transfer-encoding: chunked\r\n`, `${HELLO.length.toString(16)}\r\n${HELLO}\r\n0\r\n\r\n`), status: [200], served: true },
  { id: 'E19', what: 'Expect: 100-continue', bytes: post(HELLO, `${JSON_TYPE}expect: 100-continue\r\n`), status: [100, 200], served: true },
  { id: 'E19', what: 'an expectation that nobody knows', bytes: post(HELLO, `${JSON_TYPE}expect: a-miracle\r\n`), status: [417] },
];

const NUMBERS: readonly OddRequest[] = ['"max_tokens":-1', '"max_tokens":0', '"max_tokens":1e400', '"max_tokens":"9"', '"n":0', '"n":1.5', '"temperature":1e400'].map((field) => ({
  id: 'E25', what: field, bytes: post(HELLO.replace('"max_tokens":9', field)), status: [200, 400], served: true,
}));

const ECHOES: readonly OddRequest[] = [
  { id: 'E22', what: 'line breaks in the model’s name', bytes: post(HELLO.replace('torture-chat', 'a\\r\\nx-injected: 1\\r\\n\\r\\n')), status: [404] },
  { id: 'E22', what: 'a model’s name beyond Latin-1', bytes: post(HELLO.replace('torture-chat', '模型\\u0000')), status: [404] },
  { id: 'E22', what: 'a header beyond ASCII', bytes: post(HELLO, `${JSON_TYPE}x-findtoken-mode: \u00e9\r\n`), status: [400] },
  { id: 'E22', what: 'a NUL in a header', bytes: post(HELLO, `${JSON_TYPE}x-odd: a\u0000b\r\n`), status: [400] },
  { id: 'E22', what: 'a lone CR in a header', bytes: post(HELLO, `${JSON_TYPE}x-odd: a\rb\r\n`), status: [400] },
  { id: 'E22', what: 'a path beyond Latin-1, escaped', bytes: lines('GET /v1/models/%E6%A8%A1%00 HTTP/1.1', ''), status: [404] },
  { id: 'E25', what: 'NaN', bytes: post(HELLO.replace('"max_tokens":9', '"temperature":NaN')), status: [400] },
  { id: 'E25', what: '129 choices', bytes: post(withFields('"n":129')), status: [400] },
];

const TARGETS: readonly OddRequest[] = [
  { id: 'E23', what: 'two Host headers', bytes: post(HELLO, `host: evil.example\r\n${JSON_TYPE}`), status: [400] },
  { id: 'E23', what: 'an absolute target', bytes: lines('GET http://evil.example/v1/models HTTP/1.1', ''), status: [400, 421] },
  { id: 'E23', what: 'two slashes', bytes: lines('GET //v1/models HTTP/1.1', ''), status: [404] },
  { id: 'E23', what: 'a path that climbs', bytes: lines('GET /v1/user/../models HTTP/1.1', ''), status: [404] },
  { id: 'E23', what: 'a path that climbs, escaped', bytes: lines('GET /v1/user/%2e%2e/models HTTP/1.1', ''), status: [404] },
  { id: 'E26', what: 'OPTIONS', bytes: lines('OPTIONS /v1/chat/completions HTTP/1.1', ''), status: [405] },
  { id: 'E26', what: 'TRACE', bytes: lines('TRACE /v1/models HTTP/1.1', ''), status: [405] },
  { id: 'E26', what: 'CONNECT', bytes: lines('CONNECT evil.example:443 HTTP/1.1', ''), status: [400, 405, 0] },
  { id: 'E26', what: 'an upgrade', bytes: lines('GET /v1/models HTTP/1.1', 'connection: upgrade\r\nupgrade: websocket\r\n'), status: [400, 426] },
  { id: 'E26', what: 'a method that nobody knows', bytes: lines('BREW /v1/models HTTP/1.1', ''), status: [400, 405] },
];

/** Two lengths, or one that two readers could read differently. None may be served, and the connection must end. */
const SMUGGLING: readonly OddRequest[] = [
  ['a length and chunks', 'content-length: 5\r\ntransfer-encoding: chunked\r\n'],
  ['chunks and a length', 'transfer-encoding: chunked\r\ncontent-length: 5\r\n'],
  ['two lengths that differ', 'content-length: 5\r\ncontent-length: 6\r\n'],
  ['two lengths that agree', 'content-length: 5\r\ncontent-length: 5\r\n'],
  ['a list of lengths', 'content-length: 5, 5\r\n'],
  ['a length with a sign', 'content-length: +5\r\n'],
  ['a negative length', 'content-length: -5\r\n'],
  ['a length in hex', 'content-length: 0x5\r\n'],
  ['chunked twice', 'transfer-encoding: chunked, chunked\r\n'],
  ['chunked not last', 'transfer-encoding: chunked, identity\r\n'],
  ['an encoding that looks like chunked', 'transfer-encoding: xchunked\r\n'],
  ['a blank before the colon', 'transfer-encoding : chunked\r\n'],
  ['a folded header', 'transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n'],
].map(([what = '', headers = '']) => ({
  id: 'E24', what, status: [400], bytes: (head: string) => `${PATH}${head}${JSON_TYPE}${headers}\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\n${head}\r\n`,
}));

export const ODD_REQUESTS: readonly OddRequest[] = [...BODIES, ...NUMBERS, ...ECHOES, ...TARGETS, ...SMUGGLING];
