import fc from 'fast-check';
import t from 'tap';
import { survey, writtenFields } from '../src/gateway/survey.ts';
import { readChatRequest, toUpstream } from '../src/wire/index.ts';
import { openHouse } from './support/house.ts';
import { startProvider } from './support/provider.ts';
import { MODEL } from './support/wire.ts';

const ENOUGH = { jsonDepth: 128, jsonValues: 10_000_000 };
const PARTS = { pictureTokens: 4_096, mediaTokens: 131_072, routingHeader: undefined };

function fieldsOf(text: string): ReadonlyMap<string, { readonly text: string; readonly strings: number }> {
  const bytes = Buffer.from(text);
  return new Map([...writtenFields(bytes, survey(bytes, ENOUGH).fields)].map(([name, field]) => [name, { text: Buffer.from(field.text).toString(), strings: field.strings }]));
}

/** What a provider of this dialect is sent for a body of this text, once as written, once from the parsed body alone. */
function sent(text: string, dialect = 'openai', model: Partial<typeof MODEL> = {}): { readonly text: string; readonly anew: string } {
  const bytes = Buffer.from(text);
  const written = writtenFields(bytes, survey(bytes, ENOUGH).fields);
  const target = { model: { ...MODEL, ...model }, dialect, maxTokens: 100 };
  const [asWritten, anew] = [{ ...PARTS, written }, PARTS].map((options) => toUpstream(readChatRequest(JSON.parse(text), options), target).body.map((piece) => Buffer.from(piece)));
  return { text: Buffer.concat(asWritten ?? []).toString(), anew: Buffer.concat(anew ?? []).toString() };
}

/** JSON texts as people and programs write them: blanks anywhere, escapes, a name twice, names that mean something to JavaScript. */
const name = fc.oneof(fc.constantFrom('a', 'b', 'tools', '__proto__', 'constructor', '1', 'é', 'quote"', 'back\\slash', '\u{1f600}', ''), fc.string({ maxLength: 4 }));
const blank = fc.constantFrom('', '', ' ', '\n\t');
const word = fc.oneof(fc.string({ unit: 'binary', maxLength: 8 }).map((text) => JSON.stringify(text)), fc.constantFrom(String.raw`"A\/\"\\"`, String.raw`"[{,\"}"`, '"ü"'));
const jsonText = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, word, fc.constantFrom('0', '-1.50', '1e3', '12345678901234567890', 'true', 'null'), tie('list'), tie('object')),
  list: fc.tuple(blank, fc.array(fc.tuple(blank, tie('value'), blank).map((parts) => parts.join('')), { maxLength: 3 })).map(([gap, entries]) => `[${gap}${entries.join(',')}]`),
  object: fc.array(fc.tuple(name, blank, blank, tie('value'), blank), { maxLength: 4 }).map((fields) => `{${fields.map(([key, before, between, value, after]) => `${before}${JSON.stringify(key)}${between}:${value}${after}`).join(',')}}`),
}));

t.test('the fields of a body are found where they stand', async (t) => {
  const fields = fieldsOf(' {"a" : [1, {"b": "x,y"}] ,"n":1.0, "te\\u0078t":"}", "a":{"c":"d"}, "e":{} }');
  t.same([...fields.keys()], ['a', 'n', 'text', 'e']);
  t.same(fields.get('a'), { text: '"a":{"c":"d"}', strings: 2 }, 'of two the last, as in parsing');
  t.same(fields.get('n'), { text: '"n":1.0', strings: 0 });
  t.same(fields.get('text'), { text: '"te\\u0078t":"}"', strings: 1 }, 'a name is what it means');
  for (const none of ['[{"a":1}]', '"a"', '{}', '7', '', '[]']) t.equal(fieldsOf(none).size, 0, `${none} has no fields`);
  for (const broken of ['{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,"b', '}{', ',,{,"a"', '{{"a":1}', '{"a" "b" "c":1}']) t.ok(survey(Buffer.from(broken), ENOUGH).fields.length >= 0, `${broken} does no harm`);
});

t.test('each field that is found is the one that is parsed', async () => {
  fc.assert(fc.property(jsonText.object, (text) => {
    const parsed: Record<string, unknown> = JSON.parse(text);
    const fields = fieldsOf(text);
    for (const [key, field] of fields) {
      const alone: Record<string, unknown> = JSON.parse(`{${field.text}}`);
      if (JSON.stringify(alone[key]) !== JSON.stringify(parsed[key])) return false;
    }
    return fields.size === Object.keys(parsed).length;
  }), { numRuns: 3_000 });
});

t.test('as written or anew, a provider reads the same, and each name once', async () => {
  fc.assert(fc.property(jsonText.value, jsonText.value, jsonText.object, fc.constantFrom('openai', 'zhipu', 'kimi', 'deepseek'), (content, extra, more, dialect) => {
    const body = `{"model":"m", "messages": [ {"role":"user","content":${content}} ], "extra":${extra}, "tools" :[${more}],${more.slice(1, -1)}${more === '{}' ? '' : ','}"seed":7}`;
    // A field of the client's own may be one that is refused.
    let both: ReturnType<typeof sent>;
    try {
      both = sent(body, dialect);
    } catch (error) {
      return error instanceof Error && error.name === 'Fault';
    }
    const anew: unknown = JSON.parse(both.anew);
    return JSON.stringify(sorted(JSON.parse(both.text))) === JSON.stringify(sorted(anew)) && namesIn(both.text) === namesIn(both.anew);
  }), { numRuns: 3_000 });
});

t.test('what no station touches goes out in the client\'s own bytes, what one touches does not', async (t) => {
  const messages = '"messages": [{"role":"user", "content":"caf\\u00e9 \\/ \\ud83d\\ude00"}]';
  t.match(sent(`{"model":"m",${messages},"seed":12345678901234567890}`).text, `,${messages},"seed":12345678901234567890}`);
  t.match(sent(`{"model":"m",${messages},"temperature":0.70}`, 'zhipu').text, '"temperature":0.70', 'a number within the range');
  t.match(sent(`{"model":"m",${messages},"temperature":1.70}`, 'zhipu').text, '"temperature":1', 'one beyond it');
  t.notMatch(sent(`{"model":"m",${messages},"temperature":1.70}`, 'zhipu').text, '1.70');
  t.match(sent(`{"model":"m",${messages},"temperature":0.70}`, 'openai', { force: { temperature: 1 } }).text, '"temperature":1', 'a forced one');
  t.notMatch(sent(`{"model":"m",${messages},"top_k":50}`, 'openai', { drop: ['top_k'] }).text, 'top_k', 'a dropped one');
  const tools = '"tools": [ {"type":"function", "function":{"name":"f", "parameters":{"type":"object", "maxProperties":12345678901234567890}}} ]';
  for (const dialect of ['deepseek', 'zhipu', 'minimax', 'qwen', 'kimi', 'stepfun']) t.match(sent(`{"model":"m",${messages},${tools}}`, dialect).text, `,${messages},${tools}}`, `${dialect} needs nothing adapted`);
  t.match(sent('{"model":"m","messages": [{"role":"developer", "content":"x"}]}', 'qwen').text, '"messages":[{"role":"system","content":"x"}]', 'a role that is renamed');
  t.match(sent(`{"model":"m",${messages},"max_tokens":"100", "n":"1"}`).text, '"max_tokens":100', 'a count is what was understood of it');
  t.match(sent('{"model":"m","messages": [{"role":"user","content":"long","content":"x"}]}').text, '"messages":[{"role":"user","content":"x"}]', 'what stands there twice is sent once');
  t.match(sent('{"model":"m","messages": [{"role":"user","content":"x","__proto__":{"a":"b"}}]}').text, '"messages":[{"role":"user","content":"x"}]', 'what was dropped stays dropped');
  t.notMatch(sent(`{"model":"m",${messages},"provider_key":{"provider":"deepseek","api_key":"secret"}}`).text, 'secret', 'our own fields stay here');
});

t.test('through the whole house: numbers that no double holds, and a key that stays here', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { books: 'cli', providers: { deepseek: deepseek.url }, credit: '100' });
  const tools = '"tools": [ {"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"id":{"type":"integer","maximum":9223372036854775807}}}}} ]';
  const text = `\ufeff{ "model" : "deepseek-chat", "routing":"auto", ${tools}, "messages":[{"role":"user","content":"größe \\u4f60"}], "max_tokens": 10 }`;
  const answer = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, body: text });
  t.equal(answer.status, 200);
  const [request] = deepseek.requests;
  t.match(request?.text, tools);
  t.match(request?.text, '"messages":[{"role":"user","content":"größe \\u4f60"}]');
  t.match(request?.body, { model: 'deepseek-flash', max_tokens: 10 });
  t.notMatch(request?.text, 'routing');
  t.equal(request?.headers['content-length'], String(Buffer.byteLength(request?.text ?? '')));
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
}

/** How many names and strings a JSON text has. */
function namesIn(text: string): number {
  return text.match(/"(?:[^"\\]|\\.)*"/g)?.length ?? 0;
}
