import { fieldsOf, isFields, isSameList, parseJson, textOf } from './json.ts';
import type { Fields } from './json.ts';

/** What becomes of earlier answers and of the results of tools on their way back. */

export interface AnswerRules {
  readonly emptyText: boolean;
  readonly emptyAnswer: 'no' | 'as-text';
  readonly argumentsAsJson: boolean;
}

/**
 * A message as its target takes it back: the very one that came where nothing is to change, undefined where it says nothing and the target
 * refuses such. An empty list of calls, which nobody takes, is left out.
 */
export function takenBack(message: Fields, { emptyText, emptyAnswer, argumentsAsJson }: AnswerRules): Fields | undefined {
  if (message['role'] !== 'assistant') return emptyText ? withoutEmptyTexts(message) : message;
  const called = withoutEmptyCalls(message);
  const calling = argumentsAsJson ? withJsonArguments(called) : called;
  if (emptyText && !saysSomething(calling)) return saysNothingAtAll(calling) ? undefined : withoutContent(calling);
  if (emptyAnswer === 'as-text' && (calling['content'] ?? undefined) === undefined && !calls(calling)) return { ...calling, content: '' };
  return emptyText ? withoutEmptyTexts(calling) : calling;
}

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

function withoutEmptyCalls(message: Fields): Fields {
  const { tool_calls: given, ...rest } = message;
  return Array.isArray(given) && given.length === 0 ? rest : message;
}

/** Arguments that are nothing, or no JSON since the answer was cut off, make a target refuse the whole conversation from then on. */
function withJsonArguments(message: Fields): Fields {
  const { tool_calls: given } = message;
  if (!Array.isArray(given)) return message;
  const readable = (given as readonly unknown[]).map((call) => {
    const called = fieldsOf(call)['function'];
    if (!isFields(called)) return call;
    const { arguments: written = '' } = called;
    if (typeof written !== 'string' || parseJson(written) !== undefined) return call;
    return { ...fieldsOf(call), function: { ...called, arguments: written.trim() === '' ? '{}' : JSON.stringify({ arguments: written }) } };
  });
  return isSameList(readable, given) ? message : { ...message, tool_calls: readable };
}

function calls(message: Fields): boolean {
  return (message['tool_calls'] ?? message['function_call'] ?? undefined) !== undefined;
}

function saysSomething({ content }: Fields): boolean {
  if (Array.isArray(content)) return content.some((part) => !isEmptyText(part));
  return content !== undefined && content !== null && content !== '';
}

/** Where an answer shall go on from nothing (`partial`) it is no empty one, and what it thought is something. */
function saysNothingAtAll(message: Fields): boolean {
  return !calls(message) && message['partial'] !== true && textOf(message['reasoning_content']) === undefined;
}

function withoutContent(message: Fields): Fields {
  if (!calls(message)) return message;
  const { content, ...rest } = message;
  return content === undefined || content === null ? message : rest;
}

function withoutEmptyTexts(message: Fields): Fields {
  const { content } = message;
  if (!Array.isArray(content) || !content.some(isEmptyText)) return message;
  const kept = content.filter((part) => !isEmptyText(part));
  return { ...message, content: kept.length === 0 ? '' : kept };
}

function isEmptyText(part: unknown): boolean {
  const { type, text } = fieldsOf(part);
  return type === 'text' && text === '';
}
