/** How a rehearsal model behaves. */
export interface Behaviour {
  /** Refused with this status before a word. */
  readonly refusal: number | undefined;
  /** Never answers. */
  readonly isSilent: boolean;
  /** Before the first token; an answer that is not streamed waits as long. */
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  /** The connection breaks half-way. */
  readonly breaks: boolean;
  readonly speaks: boolean;
  readonly thinks: boolean;
  readonly reportsUsage: boolean;
}

const PLAIN: Behaviour = {
  refusal: undefined, isSilent: false, firstTokenMs: 0, tokenMs: 20, breaks: false, speaks: true, thinks: false, reportsUsage: true,
};

/** Rehearsal models: name for people, and in what they differ from a plain one. */
const MODELS: Readonly<Record<string, { readonly name: string; readonly differs: Partial<Behaviour> }>> = {
  'sandbox-chat': { name: 'Sandbox Chat', differs: {} },
  'sandbox-slow': { name: 'Sandbox, slow', differs: { firstTokenMs: 3_000, tokenMs: 100 } },
  'sandbox-error-400': { name: 'Sandbox, refuses with 400', differs: { refusal: 400 } },
  'sandbox-error-401': { name: 'Sandbox, refuses with 401', differs: { refusal: 401 } },
  'sandbox-error-402': { name: 'Sandbox, refuses with 402', differs: { refusal: 402 } },
  'sandbox-error-429': { name: 'Sandbox, refuses with 429', differs: { refusal: 429 } },
  'sandbox-error-500': { name: 'Sandbox, fails with 500', differs: { refusal: 500 } },
  'sandbox-error-503': { name: 'Sandbox, fails with 503', differs: { refusal: 503 } },
  'sandbox-timeout': { name: 'Sandbox, never answers', differs: { isSilent: true } },
  'sandbox-cut': { name: 'Sandbox, breaks off', differs: { breaks: true } },
  'sandbox-empty': { name: 'Sandbox, says nothing', differs: { speaks: false } },
  'sandbox-no-usage': { name: 'Sandbox, reports no usage', differs: { reportsUsage: false } },
  'sandbox-reasoning': { name: 'Sandbox, thinks first', differs: { thinks: true } },
};

/** The behaviour of the first of these names that is a rehearsal model; a plain one stands in for every other model. */
export function behaviourOf(...names: readonly string[]): Behaviour {
  const name = names.find((candidate) => Object.hasOwn(MODELS, candidate));
  return { ...PLAIN, ...(name === undefined ? {} : MODELS[name]?.differs) };
}

/**
 * The rehearsal models in the shape of `config/models.yaml` and `config/providers.yaml`, to be merged over those when the sandbox is on.
 * The prices are made up, small but not zero, so that a rehearsal books real amounts.
 */
export const SANDBOX_CATALOG = {
  providers: {
    sandbox: { name: 'Sandbox', base_url: 'http://sandbox.invalid/v1', dialect: 'openai' },
  },
  models: Object.fromEntries(Object.entries(MODELS).map(([id, { name, differs }]) => [id, {
    provider: 'sandbox',
    upstream: id,
    name,
    context_window: 131_072,
    max_output: 8_192,
    price: { input: 0.14, cached_input: 0.0028, output: 0.28 },
    capabilities: ['tools', 'json_object', 'json_schema', ...(differs.thinks === true ? ['reasoning'] : [])],
    priced: '2026-11-23',
    source: 'made up, to rehearse with',
    sandbox: true,
  }])),
} as const;
