import { fieldsOf, isFields, isSameList, textOf } from './json.ts';

/**
 * Each call of a conversation under an id of its own, for targets that refuse a second one of the same id: clients that count their calls
 * anew in each turn send such. The first keeps its id, and results go by the new ones in their order. The list itself where all differ.
 */
export function withOwnIds(messages: readonly unknown[]): readonly unknown[] {
  const taken = new Map<string, number>();
  let waiting = new Map<string, string[]>();
  const renamed = messages.map((message) => {
    if (!isFields(message)) return message;
    if (message['role'] === 'tool') {
      const own = waiting.get(textOf(message['tool_call_id']) ?? '')?.shift();
      return own === undefined || own === message['tool_call_id'] ? message : { ...message, tool_call_id: own };
    }
    const { tool_calls: given } = message;
    if (message['role'] !== 'assistant' || !Array.isArray(given)) return message;
    waiting = new Map();
    const own = (given as readonly unknown[]).map((call) => withOwnId(call, taken, waiting));
    return isSameList(own, given) ? message : { ...message, tool_calls: own };
  });
  return isSameList(renamed, messages) ? messages : renamed;
}

function withOwnId(call: unknown, taken: Map<string, number>, waiting: Map<string, string[]>): unknown {
  const id = textOf(fieldsOf(call)['id']);
  if (id === undefined) return call;
  let own = id;
  while (taken.has(own)) {
    const count = (taken.get(id) ?? 1) + 1;
    taken.set(id, count);
    own = `${id}-${count}`;
  }
  taken.set(own, 1);
  const results = waiting.get(id);
  if (results === undefined) waiting.set(id, [own]);
  else results.push(own);
  return own === id ? call : { ...fieldsOf(call), id: own };
}
