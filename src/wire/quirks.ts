/** The providers' dialects as a table of differences from OpenAI's. Source: facts of the providers, sections 3, 5 and 6. */

/** `thinking-off`: taken only while the model does not think. */
export type ToolChoiceRule = 'yes' | 'no' | 'thinking-off';

/** How a model is told not to think: `thinking: { type: 'disabled' }`, `enable_thinking: false`, or no more than it must: `reasoning_effort: 'low'`. */
export type ThinkingSwitch = 'thinking' | 'enable_thinking' | 'reasoning_effort';

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** What a request must look like. A field left out: as the client sent it. */
export interface RequestQuirks {
  /** Gets `stream_options: { include_usage: true }` on streams. */
  readonly streamOptions: boolean;
  /** The one field that limits the output; another one while the model thinks, where the first does not limit what it thinks. */
  readonly tokenLimit?: 'max_tokens' | 'max_completion_tokens';
  readonly tokenLimitThinking?: 'max_completion_tokens';
  /** `decimals` are kept; `zero`: 0 is said as `do_sample: false`. */
  readonly temperature?: Range & { readonly decimals?: number; readonly zero?: 'do_sample' };
  readonly topP?: Range & { readonly decimals?: number };
  readonly frequencyPenalty?: Range;
  /** Most answers of one request; `withTools` where tools lower it. */
  readonly choices?: { readonly max: number; readonly withTools?: number };
  /** Stop sequences: how many, as a list only, and how many UTF-8 bytes each. A longer list is cut. */
  readonly stop?: { readonly max: number; readonly listOnly?: boolean; readonly bytesMax?: number };
  readonly toolChoice?: { readonly none: boolean; readonly required: ToolChoiceRule; readonly named: ToolChoiceRule };
  /** The one switch of thinking that it reads; without one nothing keeps a model that can think from it. */
  readonly thinkingSwitch?: ThinkingSwitch;
  /** The field that tells it how much to think. */
  readonly thinkingAmount?: 'thinking_budget' | 'reasoning_effort';
  /** Its word for `thinking: { type: 'enabled' }`, which it refuses. */
  readonly thinkingOn?: 'adaptive';
  /** Its models that cannot but think, whose switch the catalogue drops, take the efforts low, high and max, and refuse others. */
  readonly threeLevels?: true;
  /** Refuses an effort beside its switch, which the catalogue may force. */
  readonly noEffortBesideSwitch?: true;
  /** Set where tools are given and the client did not set it: this provider's default is the opposite of OpenAI's. */
  readonly parallelToolCalls?: boolean;
  /** Only what the model lists among its capabilities is sent; a schema becomes `json_object` and a message. */
  readonly responseFormat?: 'by-capability';
  /** `json_object` is refused while the model thinks: thinking is switched off for it where nobody said anything about it. */
  readonly jsonObject?: 'thinking-off';
  /** `json_object` is refused, or never ends, where the prompt does not speak of JSON: a message says it then. */
  readonly jsonNamed?: boolean;
  /**
   * Knows its own fields only: role `developer` is said as `system`, fields with null and unknown stream options are left out,
   * `user` goes by `userId`, and reasoning that another model wrote stays here.
   */
  readonly strict?: boolean;
  /** Where `user` goes if it fits the pattern; it is left out where none is given. */
  readonly userId?: RegExp;
  /** Pictures must come along: it fetches none from an address. */
  readonly pictures?: 'inline';
  /** All fields that it knows, where it may refuse others: a request that was written for another dialect is cut down to these. */
  readonly knows?: readonly string[];
  /** Fields that are never sent. */
  readonly strip?: readonly string[];
  /**
   * `reasoning_content` of earlier answers is demanded back, also when another model wrote it. `or-refuses`: while the model thinks, a
   * conversation with tools is refused over an answer that has none, and few clients keep it: such an answer gets a dot.
   */
  readonly wantsReasoning?: 'yes' | 'or-refuses';
  /** Takes one system message, before all others: several are joined into it. */
  readonly oneSystem?: true;
  /** Refuses lists as the content of an answer or of a tool's result: one of texts alone goes out as a text. */
  readonly textsAsOne?: true;
  /** Refuses texts without a word, in lists and beside calls, and answers without any. */
  readonly emptyText?: 'refused';
  /** Refuses calls of the same id, as clients send them that count anew in each turn. */
  readonly callsOnce?: true;
  /** Refuses the same tool twice. */
  readonly toolsOnce?: true;
  /**
   * Refuses parameters whose schema does not say at its root that they are an object. `but-unions`: it has refused that beside `anyOf` and
   * `$ref`, where the schema stays as it is.
   */
  readonly objectParameters?: 'always' | 'but-unions';
  /** Of references in a schema it knows those to `#/$defs/` alone, and no schema but objects. */
  readonly plainSchemas?: true;
  /** Refuses an answer whose content is null or missing, as one that only calls tools has it: it gets an empty text. */
  readonly contentAlways?: true;
  /** Refuses an answer that calls nothing, as one that was broken off, where it has no text (`text`: it gets an empty one), or an empty one too (`dot`). */
  readonly emptyAnswer?: 'text' | 'dot';
  /** Refuses earlier calls whose arguments are not the text of an object, as a model leaves them that has none or was cut off. */
  readonly callsAsObjects?: true;
  /** Refuses messages without one of the user's: `always`, or where there are but system messages. */
  readonly userWanted?: 'always' | 'beside-system';
}

/** What an answer needs before a client sees it. */
export interface AnswerQuirks {
  /** Field whose text belongs into `reasoning_content`. */
  readonly reasoningField?: string;
  /** Fields of the provider's own that are dropped, of the body and of a message or delta. */
  readonly extras?: { readonly body: readonly string[]; readonly message: readonly string[] };
}

export interface Quirks {
  readonly request: RequestQuirks;
  readonly answer: AnswerQuirks;
}

/** OpenAI's own housekeeping, which the others do not know and some refuse. */
const HOUSEKEEPING = ['store', 'metadata', 'service_tier', 'prompt_cache_key', 'prompt_cache_retention', 'safety_identifier', 'verbosity'] as const;
/** What all that cut a request down take; the old form of tools too, for without it the answer would be another one. */
const EVERYBODYS = ['model', 'messages', 'stream', 'stream_options', 'stop', 'tools', 'tool_choice', 'functions', 'function_call', 'response_format', 'thinking'] as const;
const SAMPLING = ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty'] as const;

/**
 * One row a dialect. What is missing in a row is as OpenAI has it; a provider that an operator adds follows `openai`.
 */
export const QUIRKS = {
  openai: { request: { streamOptions: true }, answer: {} },
  deepseek: {
    request: {
      streamOptions: true,
      tokenLimit: 'max_tokens',
      temperature: { min: 0, max: 2 },
      choices: { max: 1 },
      stop: { max: 16 },
      toolChoice: { none: true, required: 'thinking-off', named: 'thinking-off' },
      thinkingSwitch: 'thinking',
      thinkingAmount: 'reasoning_effort',
      responseFormat: 'by-capability',
      jsonNamed: true,
      strict: true,
      userId: /^[A-Za-z0-9_-]{1,512}$/,
      strip: HOUSEKEEPING,
      wantsReasoning: 'or-refuses',
      textsAsOne: true,
      emptyAnswer: 'text',
      callsOnce: true,
      toolsOnce: true,
      objectParameters: 'always',
    },
    answer: {},
  },
  zhipu: {
    request: {
      streamOptions: true,
      tokenLimit: 'max_tokens',
      temperature: { min: 0, max: 1, decimals: 2, zero: 'do_sample' },
      topP: { min: 0.01, max: 1, decimals: 2 },
      choices: { max: 1 },
      stop: { max: 4, listOnly: true },
      toolChoice: { none: false, required: 'no', named: 'no' },
      thinkingSwitch: 'thinking',
      threeLevels: true,
      responseFormat: 'by-capability',
      strict: true,
      userId: /^[^]{6,128}$/,
      knows: [...EVERYBODYS, 'max_tokens', 'temperature', 'top_p', 'do_sample', 'user_id', 'request_id', 'tool_stream', 'reasoning_effort'],
      strip: [...HOUSEKEEPING, 'presence_penalty', 'frequency_penalty'],
      textsAsOne: true,
      emptyAnswer: 'dot',
      userWanted: 'always',
    },
    answer: { extras: { body: ['request_id', 'content_filter'], message: [] } },
  },
  minimax: {
    request: {
      streamOptions: true,
      tokenLimit: 'max_completion_tokens',
      // Its two pages differ, 0 to 2 and above 0 to 1; both take this.
      temperature: { min: 0.01, max: 1 },
      topP: { min: 0.01, max: 1 },
      choices: { max: 1 },
      toolChoice: { none: true, required: 'no', named: 'no' },
      // M3 reads it, the others take it and think.
      thinkingSwitch: 'thinking',
      thinkingOn: 'adaptive',
      responseFormat: 'by-capability',
      strict: true,
      strip: HOUSEKEEPING,
      wantsReasoning: 'yes',
      oneSystem: true,
      callsAsObjects: true,
      userWanted: 'beside-system',
    },
    answer: {
      extras: {
        body: ['base_resp', 'input_sensitive', 'input_sensitive_type', 'input_sensitive_int', 'output_sensitive', 'output_sensitive_type', 'output_sensitive_int'],
        message: ['name', 'audio_content'],
      },
    },
  },
  qwen: {
    request: {
      streamOptions: true,
      // Of a model that thinks, max_tokens limits the answer alone, and may be 32,768 at most.
      tokenLimit: 'max_tokens',
      tokenLimitThinking: 'max_completion_tokens',
      temperature: { min: 0, max: 1.99 },
      topP: { min: 0.01, max: 1 },
      choices: { max: 4, withTools: 1 },
      toolChoice: { none: true, required: 'no', named: 'thinking-off' },
      parallelToolCalls: true,
      thinkingSwitch: 'enable_thinking',
      thinkingAmount: 'thinking_budget',
      responseFormat: 'by-capability',
      jsonObject: 'thinking-off',
      jsonNamed: true,
      strict: true,
      strip: HOUSEKEEPING,
      callsAsObjects: true,
    },
    answer: {},
  },
  kimi: {
    request: {
      streamOptions: true,
      tokenLimit: 'max_completion_tokens',
      choices: { max: 1 },
      stop: { max: 5, bytesMax: 32 },
      toolChoice: { none: true, required: 'no', named: 'thinking-off' },
      thinkingSwitch: 'thinking',
      noEffortBesideSwitch: true,
      responseFormat: 'by-capability',
      strict: true,
      pictures: 'inline',
      knows: [...EVERYBODYS, 'max_completion_tokens', 'parallel_tool_calls', 'logprobs', 'top_logprobs', 'prediction'],
      strip: [...HOUSEKEEPING, ...SAMPLING],
      wantsReasoning: 'or-refuses',
      emptyText: 'refused',
      callsOnce: true,
      objectParameters: 'but-unions',
      plainSchemas: true,
    },
    answer: {},
  },
  stepfun: {
    request: {
      // Each frame bears usage unasked; whether the option is taken is not documented.
      streamOptions: false,
      tokenLimit: 'max_tokens',
      temperature: { min: 0, max: 2 },
      frequencyPenalty: { min: 0, max: 1 },
      thinkingSwitch: 'reasoning_effort',
      thinkingAmount: 'reasoning_effort',
      responseFormat: 'by-capability',
      strict: true,
      strip: [...HOUSEKEEPING, 'presence_penalty'],
      contentAlways: true,
    },
    answer: { reasoningField: 'reasoning' },
  },
} as const satisfies Record<string, Quirks>;

const ROWS: Readonly<Record<string, Quirks>> = QUIRKS;

/** Whether a provider of this dialect fetches a picture that is named by its address. */
export function fetchesPictures(dialect: string): boolean {
  return quirksOf(dialect).request.pictures !== 'inline';
}

/** The row of a dialect; one that is not there speaks plain OpenAI. */
export function quirksOf(dialect: string): Quirks {
  return (Object.hasOwn(ROWS, dialect) ? ROWS[dialect] : undefined) ?? QUIRKS.openai;
}
