import t from 'tap';
import { toUpstream } from '../src/wire/index.ts';
import { fieldsSent, MODEL, request } from './support/wire.ts';

const tool = (parameters: unknown, name = 'f') => ({ type: 'function', function: { name, parameters } });

function sent(dialect: string, fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return fieldsSent(toUpstream(request(fields), { model: MODEL, dialect, maxTokens: undefined }).body);
}

/** What becomes of a function's parameters. */
function parametersOf(dialect: string, schema: unknown): unknown {
  const [only] = sent(dialect, { tools: [tool(schema)] })['tools'] as readonly ReturnType<typeof tool>[];
  return only?.function.parameters;
}

t.test('a schema says that it is an object where that is demanded', async (t) => {
  const form = { type: 'object', properties: { a: { type: 'string' } } };
  const cases = [
    // came                                    at deepseek                                at kimi                              why
    [{ properties: { a: {} } },                { properties: { a: {} }, type: 'object' }, { properties: { a: {} }, type: 'object' }, 'no type'],
    [{ type: null, required: [] },             { type: 'object', required: [] },          { type: 'object', required: [] },    'null is none'],
    [{ oneOf: [form] },                        { oneOf: [form], type: 'object' },         { oneOf: [form], type: 'object' },   'one of several'],
    [{ anyOf: [form] },                        { anyOf: [form], type: 'object' },         { anyOf: [form] },                   'which kimi has refused beside a type'],
    [{ $ref: '#/$defs/A', $defs: { A: form } }, { $ref: '#/$defs/A', $defs: { A: form }, type: 'object' }, { $ref: '#/$defs/A', $defs: { A: form } }, 'a reference'],
    [{ type: 'array' },                        { type: 'array' },                         { type: 'array' },                   'what says otherwise is the client\'s'],
  ] as const;
  for (const [came, deepseek, kimi, why] of cases) {
    t.strictSame(parametersOf('deepseek', came), deepseek, `deepseek: ${why}`);
    t.strictSame(parametersOf('kimi', came), kimi, `kimi: ${why}`);
    for (const dialect of ['openai', 'qwen', 'zhipu']) t.strictSame(parametersOf(dialect, came), came, `${dialect} gets it as it came`);
  }
});

t.test('the same tool twice is one for a target that refuses it', async (t) => {
  const [a, b, other] = [tool({ type: 'object' }, 'a'), tool({ type: 'object' }, 'b'), tool({ type: 'object', properties: {} }, 'a')];
  t.strictSame(sent('deepseek', { tools: [a, b, a] })['tools'], [a, b]);
  t.strictSame(sent('deepseek', { tools: [a, other] })['tools'], [a, other], 'two that differ are not one');
  t.strictSame(sent('kimi', { tools: [a, b, a] })['tools'], [a, b, a], 'others take it');
});

t.test('a schema is put into the words of a target that knows few', async (t) => {
  const id = { type: 'string', minLength: 1 };
  const cases = [
    // came                                                                            goes out                                                                          why
    [{ properties: { a: { $ref: '#/definitions/Id' } }, definitions: { Id: id } },     { properties: { a: { $ref: '#/$defs/Id' } }, $defs: { Id: id } },                 'definitions of older schemas'],
    [{ properties: { a: { $ref: '#/definitions/Id' } }, definitions: { Id: id }, $defs: { Id: { type: 'null' } } }, { properties: { a: { $ref: '#/$defs/Id_2' } }, $defs: { Id: { type: 'null' }, Id_2: id } }, 'a name that is taken'],
    [{ properties: { a: id, b: { $ref: '#/properties/a', description: 'B' }, c: { type: 'array', items: { $ref: '#/properties/a' } } } }, { properties: { a: id, b: { $ref: '#/$defs/a', description: 'B' }, c: { type: 'array', items: { $ref: '#/$defs/a' } } }, $defs: { a: id } }, 'a form used before, as generators write it'],
    [{ properties: { n: { $ref: '#/definitions/Node' } }, definitions: { Node: { type: 'object', properties: { next: { $ref: '#/definitions/Node' } } } } }, { properties: { n: { $ref: '#/$defs/Node' } }, $defs: { Node: { type: 'object', properties: { next: { $ref: '#/$defs/Node' } } } } }, 'one that holds itself'],
    [{ properties: { a: { $ref: '#/definitions/A%20B~1C' } }, definitions: { 'A B/C': id } }, { properties: { a: { $ref: '#/$defs/A_B_C' } }, $defs: { A_B_C: id } },        'a name with signs in it'],
    [{ properties: { a: true, b: false, c: { type: 'array', items: true } } },         { properties: { a: {}, b: { not: {} }, c: { type: 'array', items: {} } } },       'schemas that are no objects'],
    [{ properties: { a: { type: 'array', items: [id, { type: 'number' }] } } },        { properties: { a: { type: 'array', prefixItems: [id, { type: 'number' }] } } },  'a list of items'],
    [{ anyOf: [{ $ref: '#/definitions/Id' }], definitions: { Id: id } },               { anyOf: [{ $ref: '#/$defs/Id' }], $defs: { Id: id } },                           'within a choice'],
  ] as const;
  for (const [came, expected, why] of cases) {
    t.strictSame(parametersOf('kimi', { type: 'object', ...came }), { type: 'object', ...expected }, why);
    for (const dialect of ['openai', 'deepseek', 'qwen']) t.strictSame(parametersOf(dialect, { type: 'object', ...came }), { type: 'object', ...came }, `${dialect} gets it as it came: ${why}`);
  }
  const kept = [
    { properties: { a: { $ref: '#/$defs/Id' }, b: { $ref: '#' } }, $defs: { Id: id }, definitions: { Old: id } },
    { properties: { a: { $ref: '#/definitions/Missing' }, b: { $ref: 'https://example.com/b.json' }, c: { $ref: 7 } } },
    { properties: { a: { type: 'string', default: { $ref: '#/definitions/Id' }, enum: [true] } }, additionalProperties: false, definitions: { Id: id } },
    { properties: Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`p${at}`, { $ref: `#/definitions/d${at}` }])), definitions: Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`d${at}`, { description: 'x'.repeat(1_000) }])) },
  ];
  for (const schema of kept) t.strictSame(parametersOf('kimi', { type: 'object', ...schema }), { type: 'object', ...schema }, 'and this one is as it came');
});
