const SOURCE = 'a rehearsal price, made up';
const PRICED = '2026-11-23';

const SHOWN = {
  'sandbox-chat': 'Sandbox Chat',
  'sandbox-slow': 'Sandbox Slow: first token after 3 s',
  'sandbox-error-400': 'Sandbox: refuses with 400',
  'sandbox-error-401': 'Sandbox: refuses with 401',
  'sandbox-error-402': 'Sandbox: refuses with 402',
  'sandbox-error-429': 'Sandbox: refuses with 429',
  'sandbox-error-500': 'Sandbox: fails with 500',
  'sandbox-error-503': 'Sandbox: fails with 503',
  'sandbox-timeout': 'Sandbox: never answers',
  'sandbox-cut': 'Sandbox: dies mid-answer',
  'sandbox-empty': 'Sandbox: answers with nothing',
  'sandbox-no-usage': 'Sandbox: reports no usage',
  'sandbox-reasoning': 'Sandbox Reasoning: thinks, then answers',
} as const;

/**
 * The rehearsal models in the shape of `config/models.yaml`, to be merged over the catalogue when the sandbox is on.
 * Prices are small but not zero, so that a rehearsal shows real bookings: $0.14 in, $0.0028 cached, $0.28 out per million.
 */
export const SANDBOX_CATALOG = {
  providers: {
    sandbox: { name: 'Sandbox', base_url: 'http://sandbox.invalid/v1', dialect: 'openai' },
  },
  models: Object.fromEntries(Object.entries(SHOWN).map(([id, name]) => [id, {
    provider: 'sandbox',
    upstream: id,
    name,
    context_window: 131_072,
    max_output: 8_192,
    price: { input: 0.14, cached_input: 0.0028, output: 0.28 },
    capabilities: id === 'sandbox-reasoning'
      ? ['tools', 'json_object', 'json_schema', 'reasoning'] : ['tools', 'json_object', 'json_schema'],
    priced: PRICED,
    source: SOURCE,
    sandbox: true,
  }])),
} as const;
