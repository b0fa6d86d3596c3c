import { checkToolName, fieldsOf, isFields, nameInChat, textOf } from '../wire/index.ts';
import type { Fields } from '../wire/index.ts';

/**
 * Tools that the client runs, and which of them bear another name in chat. Those that Anthropic runs or knows by a type of their own have
 * no schema, and are left out.
 * @throws Fault invalid_request for a name beyond all bounds
 */
export function readTools(value: unknown): { readonly tools: readonly Fields[]; readonly names: ReadonlyMap<string, string> } {
  const tools: Fields[] = [];
  const names = new Map<string, string>();
  for (const tool of Array.isArray(value) ? (value as readonly unknown[]) : []) {
    const { name: given, description, input_schema: parameters } = fieldsOf(tool);
    const name = textOf(given);
    if (name === undefined || !isFields(parameters)) continue;
    checkToolName(name);
    const inChat = nameInChat(name);
    if (inChat !== name) names.set(inChat, name);
    tools.push({ type: 'function', function: { name: inChat, ...(typeof description === 'string' ? { description } : {}), parameters } });
  }
  return { tools, names };
}

/** A wish for a tool that is left out leaves the choice to the model. */
export function choiceOf({ type, name, disable_parallel_tool_use: single }: Fields, tools: readonly Fields[]): Fields {
  const inChat = nameInChat(textOf(name) ?? '');
  const isThere = type === 'tool' && tools.some((tool) => fieldsOf(tool['function'])['name'] === inChat);
  const choice = type === 'any' ? 'required' : type === 'none' ? 'none' : isThere ? { type: 'function', function: { name: inChat } } : undefined;
  return { ...(choice === undefined ? {} : { tool_choice: choice }), ...(single === true ? { parallel_tool_calls: false } : {}) };
}
