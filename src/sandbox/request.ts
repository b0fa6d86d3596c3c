/** What the sandbox understands of a chat request; everything else it ignores, as an easy-going provider would. */
export interface Asked {
  /** `model` of the body: the upstream's name. */
  readonly model: string;
  readonly stream: boolean;
  /** First line of the last user message, at most 200 characters; empty without one. */
  readonly question: string;
  /** First line of the last message if that is a tool's result. */
  readonly toolResult: string | undefined;
  /** Everything that counts as prompt, joined. */
  readonly promptText: string;
  readonly maxTokens: number | undefined;
  readonly choices: number;
  readonly stops: readonly string[];
  /** The tool that shall be called: named, or the first. */
  readonly tool: { readonly name: string; readonly parameters: unknown } | undefined;
  readonly json: { readonly schema: unknown } | undefined;
}

const QUESTION_CHARS_MAX = 200;
const CHOICES_MAX = 128;
/** OpenAI takes four. Each one is looked for in each choice. */
const STOPS_MAX = 16;
/** OpenAI takes 64 characters; each choice says the name again. */
const TOOL_NAME_CHARS_MAX = 256;

/** Reads a body; undefined where it is no JSON object with messages. */
export function readAsked(text: string): Asked | undefined {
  const body = parsed(text);
  if (!isRecord(body) || !Array.isArray(body['messages'])) return undefined;
  const messages: readonly unknown[] = body['messages'];
  const last = messages.at(-1);
  const users = messages.filter((message) => isRecord(message) && message['role'] === 'user');
  const isToolResult = isRecord(last) && last['role'] === 'tool';
  const tools = Array.isArray(body['tools']) ? JSON.stringify(body['tools']) : '';
  return {
    model: typeof body['model'] === 'string' ? body['model'] : '',
    stream: body['stream'] === true,
    question: firstLine(textOf(users.at(-1))),
    toolResult: isToolResult ? firstLine(textOf(last)) : undefined,
    promptText: messages.map(textOf).join('\n') + tools,
    maxTokens: positive(body['max_completion_tokens']) ?? positive(body['max_tokens']),
    choices: Math.min(positive(body['n']) ?? 1, CHOICES_MAX),
    stops: [body['stop']].flat().slice(0, STOPS_MAX).filter((stop): stop is string => typeof stop === 'string' && stop !== ''),
    tool: isToolResult ? undefined : readTool(body['tools'], body['tool_choice']),
    json: readFormat(body['response_format']),
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}

/** Text of a message: its content, or the text parts of it. */
function textOf(message: unknown): string {
  if (!isRecord(message)) return '';
  const { content } = message;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: unknown) => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('\n');
}

function firstLine(text: string): string {
  return text.trim().split('\n', 1).join('').trim().slice(0, QUESTION_CHARS_MAX).replace(/[\ud800-\udbff]$/, '');
}

function readTool(tools: unknown, choice: unknown): Asked['tool'] {
  if (!Array.isArray(tools) || choice === 'none') return undefined;
  const functions = tools.map((tool: unknown) => (isRecord(tool) ? tool['function'] : undefined)).filter(isRecord);
  const named = isRecord(choice) && isRecord(choice['function']) ? choice['function']['name'] : undefined;
  const called = functions.find((candidate) => candidate['name'] === named) ?? functions[0];
  if (called === undefined || typeof called['name'] !== 'string') return undefined;
  return { name: called['name'].slice(0, TOOL_NAME_CHARS_MAX), parameters: called['parameters'] };
}

function readFormat(format: unknown): Asked['json'] {
  if (!isRecord(format)) return undefined;
  if (format['type'] === 'json_object') return { schema: undefined };
  if (format['type'] !== 'json_schema') return undefined;
  return { schema: isRecord(format['json_schema']) ? format['json_schema']['schema'] : undefined };
}
