import { deepStrictEqual as deepEqual } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import fc from 'fast-check';
import t from 'tap';
import { Intake } from '../src/upstream/intake.ts';
import { EventScanner, QUIRKS } from '../src/wire/index.ts';
import type { EventBlock, Outgoing, SseEvent } from '../src/wire/index.ts';
import { open, singly } from './support/wire.ts';

/**
 * Events pass in blocks, untouched, wherever they can. What a client gets and what the books count must not depend on it: each
 * test here holds the short way against the one that takes up every event by itself.
 */

const FIXTURES = new URL('fixtures/', import.meta.url);
const PROVIDERS = Object.keys(QUIRKS).filter((dialect) => dialect !== 'openai');
const STREAMS = PROVIDERS.flatMap((dialect) =>
  readdirSync(new URL(`${dialect}/`, FIXTURES)).filter((file) => file.endsWith('.sse')).map((file) => ({ dialect, text: readFileSync(new URL(`${dialect}/${file}`, FIXTURES), 'utf8') })),
);

/** The bytes in pieces of these lengths, which repeat; 0 stands for all that is left. */
function pieces(bytes: Buffer, lengths: readonly number[]): readonly Buffer[] {
  const cut: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = lengths[turn % lengths.length] ?? 0;
    const to = length === 0 ? bytes.length : Math.min(bytes.length, at + length);
    cut.push(bytes.subarray(at, to));
    at = to;
  }
  return cut;
}

function take(cut: readonly Buffer[], cap = 1_048_576): readonly (SseEvent | EventBlock)[] {
  const intake = new Intake(cap);
  return [...cut.flatMap((piece) => intake.push(piece)), ...intake.end()];
}

/** Each event by itself. */
function scan(bytes: Buffer): readonly SseEvent[] {
  const decoder = new StringDecoder('utf8');
  const scanner = new EventScanner();
  return [...scanner.push(decoder.write(bytes)), ...scanner.push(decoder.end()), ...scanner.end()];
}

/** The events that a client would read. */
function sent(ready: readonly Outgoing[]): readonly string[] {
  return ready.flatMap((one) => (typeof one === 'string' ? one : scan(Buffer.from(one.bytes, 'latin1')).map(({ data }) => data)));
}

/** All that a stream came to: what the client got, in order, and what the books know. */
function told(dialect: string, arrived: readonly (SseEvent | EventBlock)[]): unknown {
  const stream = open(dialect);
  const ready = arrived.map((one) => sent(stream.take(one))).flat();
  return { ready, usage: stream.usage, failure: stream.failure, estimate: stream.completionEstimate, done: stream.done, finished: stream.finished, started: stream.started };
}

/** Lines and ends of lines as they come from anywhere, also broken ones, of bytes. */
const LINES = ['data: {"a":1}', 'data: é€😀 你好', 'data:tight', 'data', 'event: error', ': note', 'id: 7', '\ufeffdata: x', '\ufeff', 'data: [DONE]', 'data: a\u2028b', 'x', '']
  .map((line) => Buffer.from(line)).concat(Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0x20, 0xff, 0xe4, 0xbd]), Buffer.from([0xe4, 0xbd]));
const ENDS = ['\n\n', '\n\n', '\n\n', '\n', '\r\n', '\r\n\r\n', '\r', '\r\r', '\n\r\n', '\n\n\n'].map((end) => Buffer.from(end));
const bytesOf = (parts: readonly (readonly [Buffer, Buffer])[]) => Buffer.concat(parts.flat());
const cuts = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 8 });

t.test('in blocks or singly, the events are the same, however the bytes are cut', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(...LINES), fc.constantFrom(...ENDS)), { maxLength: 14 }).map(bytesOf), cuts, (bytes, lengths) => {
    deepEqual(singly(take(pieces(bytes, lengths))), scan(bytes));
  }), { numRuns: 2_000 });
});

t.test('plain events come as one block a read, and everything else by itself', async (t) => {
  const shapes = (text: string, lengths: readonly number[] = [0], cap?: number) => take(pieces(Buffer.from(text), lengths), cap).map((one) => ('bytes' in one ? one.bytes.length : 'event'));
  const one = 'data: 12\n\n';
  const cases = [
    [shapes(one.repeat(5)),                             [50],                    'many in one read'],
    [shapes(one.repeat(4), [20]),                       [20, 20],                'two in each of two reads'],
    [shapes(one.repeat(5), [25]),                       [20, 'event', 20],       'one that is cut'],
    [shapes(`: hi\n\n${one.repeat(3)}`),                [30],                    'after a comment'],
    [shapes(`${one}: hi\n\n${one}`),                    [26],                    'a comment between is seen later'],
    [shapes(`${one}event: x\n${one}${one}`),            [39],                    'so is a named event'],
    [shapes(one.repeat(3).replaceAll('\n', '\r\n')),    ['event', 'event', 'event'], 'other line ends'],
    [shapes(`\ufeff${one.repeat(3)}`),                  ['event', 20],           'after a byte order mark'],
    [shapes(one.repeat(5), [0], 49),                    ['event', 'event', 'event', 'event', 'event'], 'more than the cap of one event'],
  ] as const;
  for (const [found, expected, why] of cases) t.same(found, expected, why);
  t.same(take([Buffer.from(one), Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0x20, 0xff, 0x0a, 0x0a]), Buffer.from(one)]).map((got) => ('bytes' in got ? got.bytes : got.data)), [one, '\ufffd', one], 'broken UTF-8');
  t.throws(() => take(pieces(Buffer.from(`data: ${'x'.repeat(50)}\n\n`), [7]), 40), RangeError, 'the cap holds for an event in pieces');
  t.throws(() => take([Buffer.from(`data: ${'x'.repeat(50)}\n\n`)], 40), RangeError, 'and for a whole one');
});

t.test('recorded streams: the same to the client and to the books, cut at every byte', async (t) => {
  for (const { dialect, text } of STREAMS) {
    const bytes = Buffer.from(text);
    const expected = JSON.stringify(told(dialect, scan(bytes)));
    const wrong = [...bytes.keys()].filter((at) => JSON.stringify(told(dialect, take([bytes.subarray(0, at), bytes.subarray(at)]))) !== expected);
    t.same(wrong, [], dialect);
  }
});

/** Pieces of text as models write them: plain, in any script, with what JSON escapes, and empty. */
const words = fc.oneof(
  fc.string({ maxLength: 12 }), fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: fc.constantFrom('"', '\\', '\n', 'n', '你', '😀', 'é', '{', '}', ',', ' '), maxLength: 8 }),
  fc.constantFrom('', '\\', '"', '\\"', '你好', '"},"finish_reason":null}]}', '\ud83d'),
);
/** JSON text of a string, as it is or in ASCII alone. */
const written = fc.tuple(words, fc.boolean()).map(([word, isAscii]) => {
  const text = JSON.stringify(word);
  return isAscii ? text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`) : text;
});
const frames = fc.array(fc.record({ text: written, choice: fc.constantFrom(0, 0, 0, 0, 1), field: fc.constantFrom('content', 'content', 'content', 'reasoning_content', 'reasoning'), odd: fc.integer({ min: 0, max: 30 }) }), { maxLength: 40 });
/** What comes between, once in a while. */
const ODD: Readonly<Record<number, (frame: string) => string>> = {
  0: () => ': keep-alive\n\n',
  1: (frame) => frame.replace('data: ', 'data:'),
  2: (frame) => frame.replaceAll('\n', '\r\n'),
  3: (frame) => `event: message\n${frame}`,
  4: (frame) => frame.replace(/\}\n\n$/, ',"usage":{"prompt_tokens":9,"completion_tokens":3}}\n\n'),
  5: (frame) => frame.replace('"id":"x"', '"id":"y"'),
  6: (frame) => frame.replace('"finish_reason":null', '"finish_reason":""'),
  7: (frame) => `${frame}\n`,
};

t.test('any stream: the same to the client and to the books, however it is cut', async () => {
  fc.assert(fc.property(frames, cuts, fc.constantFrom(...PROVIDERS, 'openai'), fc.constantFrom('stop', 'length', 'network_error', 'cut', 'broken'), (list, lengths, dialect, ending) => {
    const events = list.map(({ text, choice, field, odd }) => {
      const frame = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"upstream-model","choices":[{"index":${choice},"delta":{"${field}":${text}},"finish_reason":null}]}\n\n`;
      return ODD[odd]?.(frame) ?? frame;
    });
    const last = ending === 'broken' ? 'data: {"id":"x","choi\n\n' : `data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"${ending}"}]}\n\ndata: [DONE]\n\n`;
    const bytes = Buffer.from(`${events.join('')}${ending === 'cut' ? '' : last}`);
    deepEqual(told(dialect, take(pieces(bytes, lengths.map((length) => length * 20)))), told(dialect, scan(bytes)));
  }), { numRuns: 2_000 });
});

t.test('a stream like most passes almost wholly as it came', async (t) => {
  const frame = (delta: string, reason = 'null') => `data: {"id":"x","created":1,"model":"upstream-model","choices":[{"index":0,"delta":${delta},"finish_reason":${reason}}]}\n\n`;
  const texts = Array.from({ length: 100 }, (_, at) => (at % 9 === 0 ? `line ${at}\\n\\"quoted\\"` : at % 7 === 0 ? `词${at}` : ` word ${at}`));
  const bytes = Buffer.from([frame('{"role":"assistant","content":""}'), ...texts.map((text) => frame(`{"content":"${text}"}`)), frame('{}', '"stop"'), 'data: [DONE]\n\n'].join(''));
  const stream = open('openai');
  const ready = take([bytes]).flatMap((one) => stream.take(one));
  t.match(ready.map((one) => typeof one), ['string', 'string', 'object'], 'a role, the first words, and then the rest in one piece');
  t.equal(ready.length, 3);
  t.equal(sent(ready).length, 101);
  t.strictSame([stream.finished, stream.done], [true, true]);
});
