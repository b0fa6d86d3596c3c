/**
 * Requests at the edge of HTTP/1.1, as the public lists of malformed cases have them (those of llhttp, h1spec and the smuggling
 * literature), written anew from the RFCs: each row names the section that says what must come of it.
 */

/**
 * `refused`: an answer of 4xx or 5xx, after which the connection ends, and nothing behind the head is taken for a request.
 * `served`: a proper answer, and the next request on the connection gets its own.
 * `either`: the RFC leaves it to the receiver; but never a second answer to bytes that two readers could divide in two ways.
 */
export type Wanted = 'refused' | 'served' | 'either';

export interface Malformed {
  /** RFC and section, such as `9112 2.2`. */
  readonly source: string;
  readonly what: string;
  readonly bytes: string | Buffer;
  readonly wanted: Wanted;
  /** What comes behind is within the body, not a request of its own, however the head is read. */
  readonly isLast?: true;
}

const HOST = 'host: 127.0.0.1\r\n';
const get = (headers: string, target = '/healthz', version = 'HTTP/1.1'): string => `GET ${target} ${version}\r\n${HOST}${headers}\r\n`;
const post = (headers: string, body: string): string => `POST /v1/chat/completions HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;
const chunked = (body: string, headers = ''): string => post(`transfer-encoding: chunked\r\n${headers}`, body);

const rows = (source: string, wanted: Wanted, cases: readonly (readonly [what: string, bytes: string | Buffer])[]): readonly Malformed[] =>
  cases.map(([what, bytes]) => ({ source, what, bytes, wanted }));

/** The request line. */
const LINES: readonly Malformed[] = [
  ...rows('9112 3', 'refused', [
    ['a blank before the method', ` GET /healthz HTTP/1.1\r\n${HOST}\r\n`],
    ['no target', `GET HTTP/1.1\r\n${HOST}\r\n`],
    ['a blank in the target', `GET /heal thz HTTP/1.1\r\n${HOST}\r\n`],
    ['a method with a colon', `G:T /healthz HTTP/1.1\r\n${HOST}\r\n`],
    ['a method that ends in a NUL', `GET\u0000 /healthz HTTP/1.1\r\n${HOST}\r\n`],
    ['a method of 20,000 letters', `${'A'.repeat(20_000)} /healthz HTTP/1.1\r\n${HOST}\r\n`],
    ['a tab between method and target', `GET\t/healthz HTTP/1.1\r\n${HOST}\r\n`],
  ]),
  ...rows('9112 3.2', 'refused', [
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['two Host lines', get('host: 127.0.0.1\r\n')],
    ['two Host lines that differ', get('host: evil.example\r\n')],
    ['a Host with a path in it', 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1/evil\r\n\r\n'],
    ['a Host with a name before an at sign', 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1@evil.example\r\n\r\n'],
    ['a list of hosts', 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1, evil.example\r\n\r\n'],
    ['a Host that is not ours', 'GET /healthz HTTP/1.1\r\nhost: evil.example\r\n\r\n'],
    ['a target of 20,000 characters', get('', `/${'a'.repeat(20_000)}`)],
  ]),
  ...rows('9112 3.2.2', 'refused', [['an absolute target of another host', get('', 'http://evil.example/healthz')]]),
  ...rows('9112 3.2.3', 'refused', [['CONNECT', `CONNECT evil.example:443 HTTP/1.1\r\n${HOST}\r\n`]]),
  ...rows('9112 3.2.4', 'either', [['OPTIONS of the whole server', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`]]),
  ...rows('9112 2.3', 'refused', [
    ['a version that does not exist', get('', '/healthz', 'HTTP/1.9')],
    ['a version of two digits', get('', '/healthz', 'HTTP/1.10')],
    ['HTTP/3', get('', '/healthz', 'HTTP/3.0')],
    ['http in small letters', get('', '/healthz', 'http/1.1')],
    ['another protocol', get('', '/healthz', 'RTSP/1.0')],
    ['HTTP/0.9: a line without a version', 'GET /healthz\r\n\r\n'],
    ['no line at all, only a version', 'HTTP/1.1 200 OK\r\n\r\n'],
  ]),
  ...rows('9113 3.4', 'refused', [['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']]),
  ...rows('8446 5.1', 'refused', [['a TLS greeting', Buffer.from('16030100c8010000c40303', 'hex')], ['bytes that are nothing', Buffer.from([0, 1, 2, 255, 254, 253, 13, 10, 13, 10])]]),
  ...rows('9112 2.2', 'either', [['an empty line before the request', `\r\n${get('')}`], ['five empty lines before it', `${'\r\n'.repeat(5)}${get('')}`]]),
];

/** Header lines. */
const FIELDS: readonly Malformed[] = [
  ...rows('9112 2.2', 'refused', [
    ['bare LF between the lines', `GET /healthz HTTP/1.1\n${HOST.replace('\r\n', '\n')}\n`],
    ['bare LF after one field', get('x-odd: a\n')],
    ['bare CR in a value', get('x-odd: a\rb\r\n')],
    ['bare CR at the end of the head', `GET /healthz HTTP/1.1\r\n${HOST}\r\r\n`],
    ['white space before the first field', `GET /healthz HTTP/1.1\r\n ${HOST}\r\n`],
  ]),
  ...rows('9112 5.1', 'refused', [['a blank before the colon', get('x-odd : a\r\n')], ['a tab before the colon', get('x-odd\t: a\r\n')]]),
  ...rows('9112 5.2', 'refused', [['a folded line', get('x-odd: a\r\n b\r\n')], ['a folded Host', 'GET /healthz HTTP/1.1\r\nhost:\r\n 127.0.0.1\r\n\r\n']]),
  ...rows('9110 5.1', 'refused', [
    ['a line without a colon', get('x-odd\r\n')],
    ['an empty name', get(': a\r\n')],
    ['a name with a blank', get('x odd: a\r\n')],
    ['a name with brackets', get('x(odd): a\r\n')],
    ['a name beyond ASCII', Buffer.from(get('x-\u00e9: a\r\n'), 'latin1')],
    ['a NUL in a name', get('x-\u0000dd: a\r\n')],
  ]),
  ...rows('9110 5.5', 'refused', [['a NUL in a value', get('x-odd: a\u0000b\r\n')], ['an escape in a value', get('x-odd: a\u001bb\r\n')], ['a DEL in a value', get('x-odd: a\u007fb\r\n')]]),
  ...rows('9110 5.5', 'served', [['bytes beyond ASCII in a value', Buffer.from(get('x-odd: \u00e9\r\n'), 'latin1')], ['an empty value', get('x-odd:\r\n')], ['blanks and tabs around a value', get('x-odd: \t a \t \r\n')]]),
  ...rows('6585 5', 'refused', [['one field of 20,000 bytes', get(`x-odd: ${'a'.repeat(20_000)}\r\n`)], ['a thousand fields', get(Array.from({ length: 1_000 }, (_, at) => `x-${at}: a\r\n`).join(''))], ['a name of 20,000 bytes', get(`x-${'a'.repeat(20_000)}: a\r\n`)]]),
  ...rows('9110 10.1.1', 'refused', [['an expectation that nobody knows', post('content-length: 2\r\nexpect: a-miracle\r\n', '{}')]]),
  ...rows('9110 7.6.1', 'served', [['Connection names a field of no meaning', get('connection: x-odd, keep-alive\r\nx-odd: a\r\n')]]),
];

/** The length of a body: where two readers disagree, a request hides in it. */
const LENGTHS: readonly Malformed[] = [
  ...rows('9112 6.1', 'refused', [
    ['a length and chunks', post('content-length: 5\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')],
    ['chunks and a length', post('transfer-encoding: chunked\r\ncontent-length: 5\r\n', '0\r\n\r\n')],
    ['chunked twice', post('transfer-encoding: chunked, chunked\r\n', '0\r\n\r\n')],
    ['chunked in two lines', post('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')],
    ['chunked before another', post('transfer-encoding: chunked, gzip\r\n', '0\r\n\r\n')],
    ['identity after chunked', post('transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n', '0\r\n\r\n')],
    ['an encoding that nobody knows', post('transfer-encoding: cow\r\n', '0\r\n\r\n')],
    ['a name that begins as chunked does', post('transfer-encoding: chunkedx\r\n', '0\r\n\r\n')],
    ['a name that ends as chunked does', post('transfer-encoding: xchunked\r\n', '0\r\n\r\n')],
    ['chunked in quotes', post('transfer-encoding: "chunked"\r\n', '0\r\n\r\n')],
    ['an empty transfer coding', post('transfer-encoding:\r\ncontent-length: 5\r\n', '0\r\n\r\n')],
    ['a vertical tab before chunked', post('transfer-encoding: \u000bchunked\r\n', '0\r\n\r\n')],
    ['a NUL behind chunked', post('transfer-encoding: chunked\u0000\r\n', '0\r\n\r\n')],
    ['a blank before the colon of the coding', post('transfer-encoding : chunked\r\n', '0\r\n\r\n')],
    ['chunks in a folded line', post('transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n', '0\r\n\r\n')],
  ]),
  ...rows('9112 6.1', 'either', [['chunked, in capitals', chunked('0\r\n\r\n').replace('chunked', 'CHUNKED')], ['chunks from HTTP/1.0', chunked('0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0')]]),
  ...rows('9112 6.3', 'refused', [
    ['two lengths that differ', post('content-length: 2\r\ncontent-length: 40\r\n', '{}')],
    ['a list of lengths that differ', post('content-length: 2, 40\r\n', '{}')],
    ['a length with a plus', post('content-length: +2\r\n', '{}')],
    ['a negative length', post('content-length: -1\r\n', '{}')],
    ['a length in hex', post('content-length: 0x2\r\n', '{}')],
    ['a length with a blank inside', post('content-length: 1 2\r\n', '{}')],
    ['a length with a fraction', post('content-length: 2.0\r\n', '{}')],
    ['a length that is no number', post('content-length: two\r\n', '{}')],
    ['an empty length', post('content-length:\r\n', '{}')],
    ['a length beyond 64 bits', post('content-length: 18446744073709551618\r\n', '{}')],
    ['a length in other digits', Buffer.from(post('content-length: \u00b2\r\n', '{}'), 'latin1')],
    ['a length behind a vertical tab', post('content-length: \u000b2\r\n', '{}')],
  ]),
  ...rows('9112 6.3', 'either', [['two lengths that agree', post('content-length: 2\r\ncontent-length: 2\r\n', '{}')], ['a length with zeros before it', post('content-length: 002\r\n', '{}')]]),
  ...rows('9110 9.3.1', 'either', [['a GET with a body', `GET /healthz HTTP/1.1\r\n${HOST}content-length: 2\r\n\r\n{}`]]),
];

/** Chunks. */
const CHUNKS: readonly Malformed[] = [
  ...rows('9112 7.1', 'refused', [
    ['a chunk size that is no number', chunked('xyz\r\n{}\r\n0\r\n\r\n')],
    ['an empty chunk size', chunked('\r\n{}\r\n0\r\n\r\n')],
    ['a negative chunk size', chunked('-2\r\n{}\r\n0\r\n\r\n')],
    ['a chunk size with a plus', chunked('+2\r\n{}\r\n0\r\n\r\n')],
    ['a chunk size with 0x', chunked('0x2\r\n{}\r\n0\r\n\r\n')],
    ['a chunk size beyond 64 bits', chunked('10000000000000002\r\n{}\r\n0\r\n\r\n')],
    ['a blank before a chunk size', chunked(' 2\r\n{}\r\n0\r\n\r\n')],
    ['a chunk longer than its size', chunked('2\r\n{}{}\r\n0\r\n\r\n')],
    ['a chunk without its line end', chunked('2\r\n{}0\r\n\r\n')],
    ['bare LF behind a chunk size', chunked('2\n{}\r\n0\r\n\r\n')],
    ['bare LF behind a chunk', chunked('2\r\n{}\n0\r\n\r\n')],
    ['bare CR behind a chunk size', chunked('2\r{}\r\n0\r\n\r\n')],
    ['a bare LF in an extension', chunked('2;a=b\n{}\r\n0\r\n\r\n')],
    ['a NUL in an extension', chunked('2;a=\u0000\r\n{}\r\n0\r\n\r\n')],
    ['an extension of 100,000 bytes', chunked(`2;a=${'b'.repeat(100_000)}\r\n{}\r\n0\r\n\r\n`)],
    ['bare LF behind the last chunk', chunked('2\r\n{}\r\n0\n\n')],
  ]),
  ...rows('9112 7.1.1', 'either', [['a chunk with an extension', chunked('2;a=b\r\n{}\r\n0\r\n\r\n')], ['a chunk with an extension in quotes', chunked('2;a="b;c"\r\n{}\r\n0\r\n\r\n')], ['a blank behind a chunk size', chunked('2 \r\n{}\r\n0\r\n\r\n')]]),
  ...rows('9112 7.1.2', 'either', [['a trailer', chunked('2\r\n{}\r\n0\r\nx-odd: a\r\n\r\n')], ['a length as a trailer', chunked('2\r\n{}\r\n0\r\ncontent-length: 40\r\n\r\n')]]),
  ...rows('9112 7.1.2', 'refused', [['a trailer without a colon', chunked('2\r\n{}\r\n0\r\nx-odd\r\n\r\n')]]),
];

export const MALFORMED: readonly Malformed[] = [...LINES, ...FIELDS, ...LENGTHS, ...CHUNKS];
