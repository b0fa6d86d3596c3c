import { StringDecoder } from 'node:string_decoder';
import { readFileSync, readdirSync } from 'node:fs';
import t from 'tap';
import { EventScanner, QUIRKS } from '../src/wire/index.ts';
import type { SseEvent } from '../src/wire/index.ts';

const FIXTURES = new URL('fixtures/', import.meta.url);
const PROVIDERS = Object.keys(QUIRKS).filter((dialect) => dialect !== 'openai');

/** Scans bytes that arrive in these pieces, decoded as the upstream does. */
function scan(pieces: readonly Buffer[]): readonly SseEvent[] {
  const decoder = new StringDecoder('utf8');
  const scanner = new EventScanner();
  const events = pieces.flatMap((piece) => scanner.push(decoder.write(piece)));
  return [...events, ...scanner.push(decoder.end()), ...scanner.end()];
}

const of = (...data: readonly string[]) => data.map((text) => ({ data: text, name: '' }));

const CASES: readonly (readonly [string, readonly SseEvent[], string])[] = [
  // text                                    events                                    why
  ['data: a\n\ndata: b\n\n',                 of('a', 'b'),                             'line feeds'],
  ['data: a\r\n\r\ndata: b\r\n\r\n',         of('a', 'b'),                             'carriage return and line feed, one break'],
  ['data: a\r\rdata: b\r\r',                 of('a', 'b'),                             'lone carriage returns'],
  ['data: a\r\n\ndata: b\n\rdata: c\r\r\n',  of('a', 'b', 'c'),                        'all three, mixed'],
  ['data: a\n\r\ndata: b\r\n\r\r\n',         of('a', 'b'),                             'a blank line may end otherwise than the line before'],
  ['\ufeffdata: a\n\n',                      of('a'),                                  'a byte order mark at the start is none of the data'],
  ['data: \ufeffa\n\n',                      of('\ufeffa'),                            'anywhere else it is'],
  [': keep-alive\n\n: x\r\ndata: a\n\n',     of('a'),                                  'comments and blank lines are no events'],
  ['data: a\n: note\ndata: b\n\n',           of('a\nb'),                               'a comment does not end an event'],
  ['data: a\ndata:b\ndata:  c\n\n',          of('a\nb\n c'),                           'several lines are one text; one space belongs to the colon'],
  ['data:[DONE]\n\n',                        of('[DONE]'),                             'no space after the colon'],
  ['data\n\ndata:\n\ndata:\ndata\n\n',       of('', '', '\n'),                         'empty data is data'],
  ['event: error\ndata: {}\n\ndata: a\n\n',  [{ data: '{}', name: 'error' }, ...of('a')], 'a name holds for one event'],
  ['event: ping\n\ndata: a\n\n',             of('a'),                                  'a name without data is no event'],
  ['id: 7\nretry: 10\nfoo: x\ndata: a\n\n',  of('a'),                                  'other fields are ignored'],
  ['data: a\n\ndata: b',                     of('a', 'b'),                             'the end of input ends the last event'],
  ['data: a\n\ndata: b\r',                   of('a', 'b'),                             'also after a lone carriage return'],
  ['data: é€😀\n\ndata: 你好\r\n\r\n',        of('é€😀', '你好'),                        'characters of two, three and four bytes'],
  ['data: {"a":"x: y","b":"\\n"}\n\n',       of('{"a":"x: y","b":"\\n"}'),             'colons and escapes are text'],
  ['',                                       [],                                       'nothing'],
];

t.test('an event is the same however its bytes are cut', async (t) => {
  for (const [text, events, why] of CASES) {
    const bytes = Buffer.from(text);
    t.same(scan([bytes]), events, why);
    t.same(scan([...bytes].map((byte) => Buffer.from([byte]))), events, `${why}, byte by byte`);
    const wrong = [...bytes.keys()].filter((at) => JSON.stringify(scan([bytes.subarray(0, at), bytes.subarray(at)])) !== JSON.stringify(events));
    t.same(wrong, [], `${why}, cut in two at every byte`);
  }
});

t.test('two cuts anywhere make no difference to mixed line ends', async (t) => {
  const bytes = Buffer.from('\ufeffdata: é\r\n: c\rdata:x\r\r\nevent: e\ndata: 你\n\r\ndata: z\r\r');
  const whole = JSON.stringify(scan([bytes]));
  const wrong: string[] = [];
  for (let first = 0; first <= bytes.length; first += 1) {
    for (let second = first; second <= bytes.length; second += 1) {
      const events = scan([bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]);
      if (JSON.stringify(events) !== whole) wrong.push(`${first}, ${second}`);
    }
  }
  t.same(JSON.parse(whole), [{ data: 'é\nx', name: '' }, { data: '你', name: 'e' }, { data: 'z', name: '' }]);
  t.same(wrong, []);
});

t.test('recorded streams are the same whole, cut at every byte, and with other line ends', async (t) => {
  for (const provider of PROVIDERS) {
    for (const name of readdirSync(new URL(`${provider}/`, FIXTURES)).filter((file) => file.endsWith('.sse'))) {
      const bytes = readFileSync(new URL(`${provider}/${name}`, FIXTURES));
      const whole = JSON.stringify(scan([bytes]));
      t.not(whole, '[]', `${provider}/${name} has events`);
      const wrong = [...bytes.keys()].filter((at) => JSON.stringify(scan([bytes.subarray(0, at), bytes.subarray(at)])) !== whole);
      t.same(wrong, [], `${provider}/${name}`);
      for (const end of ['\n', '\r\n', '\r']) {
        t.equal(JSON.stringify(scan([Buffer.from(bytes.toString().replace(/\r?\n/g, end))])), whole, `${provider}/${name} with ${JSON.stringify(end)}`);
      }
    }
  }
});

t.test('a long event and many short ones cost what they weigh', async (t) => {
  const long = 'x'.repeat(1_000_000);
  const scanner = new EventScanner();
  const events = [...'data: ', ...long, '\n', '\n'].flatMap((character) => scanner.push(character));
  t.equal(events.length, 1);
  t.ok(events[0]?.data === long, 'a million characters, one at a time');
  const many = new EventScanner().push('data: a\n\n'.repeat(100_000));
  t.equal(many.length, 100_000);
});

t.test('an event over the cap is refused, whatever it is made of', async (t) => {
  const cases = [
    ['data: 0123456789', 'a line without its end'],
    ['data: 01\ndata: 23\ndata: 45', 'lines that add up'],
    [': 0123456789', 'a comment without its end'],
  ] as const;
  for (const [text, why] of cases) {
    t.throws(() => new EventScanner({ maxEventChars: 10 }).push(text), RangeError, why);
    const scanner = new EventScanner({ maxEventChars: 10 });
    t.throws(() => [...text].map((character) => scanner.push(character)), RangeError, `${why}, in pieces`);
  }
  const scanner = new EventScanner({ maxEventChars: 10 });
  t.same(scanner.push('data: 0123\n\n'.repeat(50)).length, 50, 'the cap is on one event, not on the stream');
});
