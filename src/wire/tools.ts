import { leaveOut, type Draft } from './draft.ts';
import { fieldsOf, isFields, isSameList } from './json.ts';
import type { Fields } from './json.ts';
import type { RequestQuirks, ToolChoiceRule } from './quirks.ts';
import { withPlainSchema } from './references.ts';

/** Says tools and the choice among them in the target's words. */
export function setTools(draft: Draft, quirks: RequestQuirks, facts: { readonly thinks: boolean; readonly hasTools: boolean }): void {
  if (quirks.strict === true) shapeTools(draft, quirks);
  if (quirks.parallelToolCalls !== undefined && facts.hasTools) draft['parallel_tool_calls'] ??= quirks.parallelToolCalls;
  const choice = draft['tool_choice'];
  const rule = quirks.toolChoice;
  if (rule === undefined || choice === undefined || choice === 'auto') return;
  if (choice === 'none') {
    if (rule.none) return;
    // No tool may be called, and this provider cannot be told so: it must not know of any.
    leaveOut(draft, 'tool_choice');
    leaveOut(draft, 'tools');
    return;
  }
  if (!allows(choice === 'required' ? rule.required : rule.named, facts.thinks)) draft['tool_choice'] = 'auto';
}

/**
 * Says in `tools` and a plain choice what `allowed_tools` says, which only OpenAI knows. A list without a tool, which some clients always
 * send, is left out with all that goes with it, and a function without parameters gets none: some providers refuse either.
 */
function shapeTools(draft: Draft, quirks: RequestQuirks): void {
  if (!Array.isArray(draft['tools'])) return;
  const given: readonly unknown[] = draft['tools'];
  let tools = given;
  const choice = fieldsOf(draft['tool_choice']);
  if (choice['type'] === 'allowed_tools') {
    const { mode, tools: allowed } = fieldsOf(choice['allowed_tools']);
    const names = new Set((Array.isArray(allowed) ? allowed : []).map(nameOf));
    draft['tool_choice'] = mode === 'required' ? mode : 'auto';
    tools = tools.filter((tool) => names.has(nameOf(tool)));
  }
  if (quirks.toolsOnce === true) tools = withoutRepeated(tools);
  const shaped = tools.map((tool) => withParameters(tool, quirks));
  if (!isSameList(shaped, given)) draft['tools'] = shaped;
  if (tools.length === 0) for (const name of ['tools', 'tool_choice', 'parallel_tool_calls']) leaveOut(draft, name);
}

/** The same tool twice is one. Two of the same name that differ are the client's to tell apart. */
function withoutRepeated(tools: readonly unknown[]): readonly unknown[] {
  const names = new Set(tools.map(nameOf));
  if (names.size === tools.length) return tools;
  const seen = new Set<string>();
  return tools.filter((tool) => {
    const text = JSON.stringify(tool);
    const isNew = !seen.has(text);
    seen.add(text);
    return isNew;
  });
}

/** A function without parameters, or with an empty schema, as one that takes none; one with parameters as its target reads them. */
function withParameters(tool: unknown, quirks: RequestQuirks): unknown {
  const called = fieldsOf(tool)['function'];
  if (!isFields(tool) || !isFields(called)) return tool;
  const given = called['parameters'] ?? {};
  if (!isFields(given)) return tool;
  const parameters = Object.keys(given).length === 0 ? { type: 'object', properties: {} } : schemaFor(given, quirks);
  return parameters === given ? tool : { ...tool, function: { ...called, parameters } };
}

function schemaFor(given: Fields, { plainSchemas, objectParameters }: RequestQuirks): Fields {
  const plain = plainSchemas === true ? withPlainSchema(given) : given;
  const isUnion = plain['anyOf'] !== undefined || plain['$ref'] !== undefined;
  if (objectParameters === undefined || (objectParameters === 'but-unions' && isUnion)) return plain;
  return (plain['type'] ?? undefined) === undefined ? { ...plain, type: 'object' } : plain;
}

function nameOf(tool: unknown): unknown {
  return fieldsOf(fieldsOf(tool)['function'])['name'];
}

function allows(rule: ToolChoiceRule, thinks: boolean): boolean {
  return rule === 'yes' || (rule === 'thinking-off' && !thinks);
}
