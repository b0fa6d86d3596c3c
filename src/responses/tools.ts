import { checkToolName, fieldsOf, isFields, nameInChat, textOf } from '../wire/index.ts';
import type { Fields } from '../wire/index.ts';

/** A tool as its client knows it. */
export interface KnownTool {
  readonly name: string;
  /** Agents put tools of one origin into a namespace, and know their calls by both. */
  readonly namespace: string | undefined;
  /** It takes a text instead of JSON. */
  readonly custom: boolean;
}

/** The tools of a request: as chat requests have them, and by the names that they bear there. */
export interface ReadTools {
  readonly chat: readonly Fields[];
  readonly known: ReadonlyMap<string, KnownTool>;
}

/** The one argument of a tool that takes a text, for chat models know functions alone. */
export const TEXT_ARGUMENT = 'input';
/** What chat takes as a function's name. */
const NAME = /^[\w-]{1,64}$/;

/**
 * Functions are the same but for where their fields stand; a tool that takes a text is a function with one argument; one in a namespace
 * bears both names in one. Tools that OpenAI runs itself (web search, files, a computer) are left out: there is nobody here to run
 * them, and agents offer them whether or not they are to be had.
 * @throws Fault invalid_request for a name beyond all bounds
 */
export function readTools(value: unknown): ReadTools {
  const chat: Fields[] = [];
  const known = new Map<string, KnownTool>();
  for (const { tool, namespace } of flattened(value)) {
    const { type } = tool;
    const name = textOf(tool['name']);
    if (name === undefined || (type !== 'function' && type !== 'custom')) continue;
    for (const said of [name, namespace ?? '']) checkToolName(said);
    const inChat = freeName(name, namespace, known);
    known.set(inChat, { name, namespace, custom: type === 'custom' });
    chat.push({ type: 'function', function: { name: inChat, ...(type === 'custom' ? textTool(tool) : functionTool(tool)) } });
  }
  return { chat, known };
}

function functionTool({ description, parameters, strict }: Fields): Fields {
  return { ...(typeof description === 'string' ? { description } : {}), ...(isFields(parameters) ? { parameters } : {}), ...(typeof strict === 'boolean' ? { strict } : {}) };
}

function textTool({ description, format }: Fields): Fields {
  const { definition } = fieldsOf(format);
  const words = [textOf(description), typeof definition === 'string' ? `The input follows this grammar:\n${definition}` : undefined].filter((text) => text !== undefined);
  return {
    ...(words.length === 0 ? {} : { description: words.join('\n\n') }),
    parameters: { type: 'object', properties: { [TEXT_ARGUMENT]: { type: 'string', description: 'The whole input of the tool, as it is.' } }, required: [TEXT_ARGUMENT] },
  };
}

function flattened(value: unknown, namespace?: string): readonly { readonly tool: Fields; readonly namespace: string | undefined }[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return list.flatMap((tool) => {
    if (!isFields(tool)) return [];
    return tool['type'] === 'namespace' && namespace === undefined ? flattened(tool['tools'], textOf(tool['name'])) : [{ tool, namespace }];
  });
}

function freeName(name: string, namespace: string | undefined, taken: ReadonlyMap<string, unknown>): string {
  const both = namespace === undefined ? name : `${namespace.replace(/_+$/, '')}__${name}`;
  return [both, name, nameInChat(both)].find((one) => NAME.test(one) && !taken.has(one)) ?? name;
}

/** The name in chat of a tool that a client names; one that is not offered (any more) keeps its own. */
export function offeredName(known: ReadTools['known'], name: string, namespace: unknown): string {
  for (const [inChat, tool] of known) if (tool.name === name && (tool.namespace === namespace || namespace === undefined || namespace === null)) return inChat;
  return name;
}

/** Which tool shall be called, as chat requests say it; undefined where it is the model's to choose, or where the wish is for a tool that is not there. */
export function readToolChoice(value: unknown, known: ReadTools['known']): unknown {
  if (value === 'none' || value === 'required') return value;
  const { type, mode, tools } = fieldsOf(value);
  if (type === 'allowed_tools') {
    return { type, allowed_tools: { mode, tools: flattened(tools).flatMap(({ tool, namespace }) => named(tool, namespace, known) ?? []) } };
  }
  return type === 'function' || type === 'custom' ? named(fieldsOf(value), undefined, known) : undefined;
}

function named(tool: Fields, namespace: string | undefined, known: ReadTools['known']): Fields | undefined {
  const name = offeredName(known, textOf(tool['name']) ?? '', namespace ?? tool['namespace']);
  return known.has(name) ? { type: 'function', function: { name } } : undefined;
}
