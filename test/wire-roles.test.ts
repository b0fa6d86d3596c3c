import t from 'tap';
import type { SseEvent } from '../src/wire/index.ts';
import { open } from './support/wire.ts';

/** Who speaks is said once for each choice, with its first words: the SDKs' accumulators refuse an answer without. */

interface Piece {
  readonly index?: number;
  readonly delta: object;
  readonly finish?: string;
}

function frame(...pieces: readonly Piece[]): SseEvent {
  const choices = pieces.map(({ index = 0, delta, finish = null }) => ({ index, delta, finish_reason: finish }));
  return { data: JSON.stringify({ id: 'x1', object: 'chat.completion.chunk', created: 1, model: 'up', choices }), name: '' };
}

/** Every piece that the client gets, at once or at the close: `index`, what it says, how it ends. */
function told(events: readonly SseEvent[], choices = 1): readonly (readonly [number, object, string | null])[] {
  const stream = open('openai', { choices });
  const live = events.flatMap((event) => stream.take(event));
  const closing = stream.close({ usage: { origin: 'estimated', prompt: 1, cached: 0, completion: 1, reasoning: 0 }, cost: 0 });
  return [...live, ...closing].flatMap((text) => {
    const chunk = JSON.parse(text) as { readonly choices: readonly { readonly index: number; readonly delta: object; readonly finish_reason: string | null }[] };
    return chunk.choices.map(({ index, delta, finish_reason: reason }) => [index, delta, reason] as const);
  });
}

t.test('by a provider that says it, late, never or more than once', (t) => {
  const call = { index: 0, id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const role = 'assistant';
  const end = { delta: {}, finish: 'stop' };
  const cases: readonly (readonly [events: readonly SseEvent[], pieces: ReturnType<typeof told>, why: string])[] = [
    [[frame({ delta: { role } }), frame({ delta: { content: 'a' } }), frame(end)], [[0, { role }, null], [0, { content: 'a' }, null], [0, {}, 'stop']], 'before the words'],
    [[frame({ delta: { role, content: 'a' } }), frame({ delta: { content: 'b' } }), frame(end)], [[0, { role, content: 'a' }, null], [0, { content: 'b' }, null], [0, {}, 'stop']], 'with them'],
    [[frame({ delta: { content: 'a' } }), frame({ delta: { content: 'b' } }), frame(end)], [[0, { role, content: 'a' }, null], [0, { content: 'b' }, null], [0, {}, 'stop']], 'never'],
    [[frame({ delta: { content: '' } }), frame({ delta: { content: 'a' } }), frame(end)], [[0, { role, content: 'a' }, null], [0, {}, 'stop']], 'never, and an empty beginning says nothing'],
    [[frame({ delta: { content: 'a' }, finish: 'stop' })], [[0, { role, content: 'a' }, null], [0, {}, 'stop']], 'never, all in one'],
    [[frame({ delta: { tool_calls: [call] } }), frame({ delta: {}, finish: 'tool_calls' })], [[0, { role, tool_calls: [call] }, null], [0, {}, 'tool_calls']], 'never, and nothing but a call'],
    [[frame(end)], [[0, { role }, 'stop']], 'never, and not a word'],
    [[frame({ delta: { role, content: '' }, finish: 'stop' })], [[0, { role, content: '' }, 'stop']], 'with the end, and not a word'],
  ];
  for (const [events, pieces, why] of cases) t.strictSame(told(events), pieces, why);
  t.end();
});

t.test('for each of several answers', (t) => {
  const role = 'assistant';
  const pieces = told([
    frame({ delta: { role } }, { index: 1, delta: { content: '' } }),
    ...['a', 'b', 'c'].map((content) => frame({ delta: { content } }, { index: 1, delta: { content: 'x' } })),
    frame({ delta: {}, finish: 'stop' }, { index: 1, delta: {}, finish: 'length' }),
  ], 2);
  const of = (index: number) => pieces.filter(([at]) => at === index);
  t.strictSame(of(0), [[0, { role }, null], [0, { content: 'a' }, null], [0, { content: 'b' }, null], [0, { content: 'c' }, null], [0, {}, 'stop']]);
  t.match(of(1).map(([, delta]) => delta), [{ content: '' }, { role, content: 'x' }, { content: 'x' }, { content: 'x' }, {}], 'one that repeats itself beside another loses nothing');
  t.equal(of(1).at(-1)?.[2], 'length');
  t.end();
});
