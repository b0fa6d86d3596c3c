import { isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';
import type { RequestQuirks } from './quirks.ts';

/**
 * A message without what is empty in it: a list of calls, which nobody takes so, and texts, where the target refuses them. The very one
 * that came where nothing is to change; undefined where it says nothing at all, and the target refuses such.
 */
export function withoutEmpty(message: Fields, { emptyText }: RequestQuirks): Fields | undefined {
  const isRefused = emptyText === 'refused';
  if (message['role'] !== 'assistant') return isRefused ? withoutEmptyTexts(message) : message;
  const called = withoutEmptyCalls(message);
  if (!isRefused) return called;
  if (saysSomething(called)) return withoutEmptyTexts(called);
  return saysNothingAtAll(called) ? undefined : withoutContent(called);
}

function withoutEmptyCalls(message: Fields): Fields {
  const { tool_calls: given, ...rest } = message;
  return Array.isArray(given) && given.length === 0 ? rest : message;
}

/** Whether an answer calls a tool. */
export function callsAnything({ tool_calls: calls, function_call: call }: Fields): boolean {
  return (Array.isArray(calls) && calls.length > 0) || isFields(call);
}

function saysSomething({ content }: Fields): boolean {
  if (Array.isArray(content)) return content.some((part) => !isEmptyText(part));
  return content !== undefined && content !== null && content !== '';
}

/** Where an answer shall go on from nothing (`partial`) it is no empty one, and what it thought is something. */
function saysNothingAtAll(message: Fields): boolean {
  return !callsAnything(message) && message['partial'] !== true && textOf(message['reasoning_content']) === undefined;
}

function withoutContent(message: Fields): Fields {
  if (!callsAnything(message)) return message;
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
  return isFields(part) && part['type'] === 'text' && part['text'] === '';
}
