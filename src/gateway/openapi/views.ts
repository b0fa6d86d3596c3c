import type { BalanceView, ByokView, KeyCheck, KeyView, ModelView, NewKey, RechargeView, RequestView } from '../../accounts/index.ts';
import { FAULTS } from '../../faults.ts';
import type { Envelope } from '../../faults.ts';
import type { Schema } from '../form.ts';
import { RECHARGES_QUERY } from '../query.ts';

/** What the API answers, as JSON Schema. Each table has the fields of its TypeScript type, no more and no fewer, or does not compile. */

type Properties<View> = { readonly [Name in keyof Required<View>]: Schema };

/** @param absent fields that are sometimes not there */
function view<View>(properties: Properties<View>, absent: readonly (keyof View & string)[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !absent.some((one) => one === name));
  return { type: 'object', required, properties };
}

const string = { type: 'string' };
const flag = { type: 'boolean' };
const count = { type: 'integer', minimum: 0 };
const seconds = { type: 'integer', description: 'Unix seconds' };
const secondsOrNull = { type: ['integer', 'null'], description: 'Unix seconds' };
const usd = { type: 'number', description: 'US dollars, at most 6 decimals' };
const exact = { type: 'string', pattern: '^-?\\d+\\.\\d{8}$', description: 'the same to the last digit of the books' };
const perToken = { type: 'string', pattern: '^\\d+(\\.\\d+)?$', description: 'US dollars per token, before the usage fee' };
const masked = { type: 'string', description: 'masked: its last four characters' };
const strings = { type: 'array', items: string };
const named = (object: string): Schema => ({ const: object });

const KEY = view<KeyView>({
  id: string, object: named('api_key'), name: string, key: masked, created: seconds, last_used: secondsOrNull, revoked: secondsOrNull,
});

const NEW_KEY = view<NewKey & { readonly object: 'api_key' }>({
  object: named('api_key'), id: string, name: string, key: { type: 'string', pattern: '^sk-ft_[0-9a-f]{64}$', description: 'the key itself, this once' },
});

const BALANCE = view<BalanceView>({
  object: named('balance'),
  currency: { const: 'usd' },
  balance: usd,
  balance_exact: exact,
  held: { ...usd, description: 'set aside for requests under way' },
  held_exact: exact,
  available: { ...usd, description: 'balance less held' },
  available_exact: exact,
  byok: view<BalanceView['byok']>({ month: { type: 'string', pattern: '^\\d{4}-\\d{2}$' }, requests: count, free_requests: count, remaining_free: count }),
});

const RECHARGE = view<RechargeView>({
  id: string,
  object: named('recharge'),
  created: seconds,
  status: RECHARGES_QUERY.status.schema,
  currency: { const: 'usd' },
  amount: { ...usd, description: 'what is paid: fee and credits together' },
  fee: usd,
  fee_exact: exact,
  credits: { ...usd, description: 'what the account receives' },
  credits_exact: exact,
  refunded: usd,
  paid: secondsOrNull,
  checkout_url: { type: ['string', 'null'], description: 'where it is paid; null once it is paid or expired' },
});

const BILLING_LOG = view<RequestView>({
  id: { type: 'string', description: 'the X-Request-Id of the answer' },
  object: named('billing_log'),
  created: seconds,
  model: { type: 'string', description: 'the model that served' },
  requested_model: string,
  provider: string,
  mode: { enum: ['standard', 'byok'] },
  stream: flag,
  status: { type: 'string', description: '`ok`, `aborted`, `recovered`, or the error\'s code' },
  prompt_tokens: count,
  cached_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  usage_origin: { enum: ['reported', 'estimated', 'unknown'] },
  cost: usd,
  cost_exact: exact,
  latency_ms: count,
  first_byte_ms: { type: ['integer', 'null'], minimum: 0 },
  attempts: count,
  key_id: string,
});

const BYOK_KEY = view<ByokView & { readonly check?: Pick<KeyCheck, 'verdict' | 'detail'> }>({
  id: string,
  object: named('byok_key'),
  provider: string,
  name: string,
  region: { type: ['string', 'null'] },
  key: masked,
  created: seconds,
  check: { ...view<Pick<KeyCheck, 'verdict' | 'detail'>>({ verdict: { enum: ['good', 'unknown'] }, detail: string }), description: 'what the provider said, where it was asked' },
}, ['check']);

const MODEL = view<ModelView>({
  id: string,
  object: named('model'),
  created: seconds,
  owned_by: string,
  name: string,
  provider: string,
  context_length: count,
  pricing: view<ModelView['pricing']>({
    prompt: perToken,
    completion: perToken,
    input_cache_read: perToken,
    overrides: {
      type: 'array',
      items: view<NonNullable<ModelView['pricing']['overrides']>[number]>({
        min_prompt_tokens: count, utc_start: count, utc_end: count, utc_days: strings, prompt: perToken, completion: perToken, input_cache_read: perToken,
      }, ['min_prompt_tokens', 'utc_start', 'utc_end', 'utc_days']),
      description: 'prices of requests with more than `min_prompt_tokens` tokens of prompt, or that come from `utc_start` until `utc_end` (1630 is 16:30, and an end of 0 midnight) on `utc_days`, for all of their tokens; the last entry that applies counts',
    },
  }, ['overrides']),
  architecture: view<ModelView['architecture']>({ modality: string, input_modalities: strings, output_modalities: strings }),
  top_provider: view<ModelView['top_provider']>({ context_length: count, max_completion_tokens: count }),
  supported_parameters: strings,
  equivalents: { ...strings, description: 'models that may stand in for it, in order of preference' },
  sandbox: { const: true, description: 'the sandbox answers for it' },
}, ['sandbox']);

const ERROR = view<Envelope>({
  error: view<Envelope['error']>({
    message: { type: 'string', description: 'what is wrong, then the mend' },
    type: { enum: [...new Set(Object.values(FAULTS).map(({ type }) => type))] },
    code: { enum: Object.keys(FAULTS) },
    param: { type: ['string', 'null'], description: 'the field at fault' },
    details: { type: 'object', description: 'of the Messages API: what its clients look for, to go on without what was refused' },
    metadata: {
      ...view<NonNullable<Envelope['error']['metadata']>>({
        request_id: string,
        attempts: {
          type: 'array',
          items: view<NonNullable<Envelope['error']['metadata']>['attempts'][number]>({
            provider: string,
            model: string,
            status: { type: 'integer', description: 'the provider\'s HTTP status, 0 where no answer came' },
            class: string,
            ms: { type: 'integer', minimum: 0 },
          }),
        },
      }),
      description: 'of chat calls alone: what was tried',
    },
  }, ['details', 'metadata']),
});

/** The answer to something deleted. */
const DELETED = view<{ readonly id: string; readonly object: string; readonly deleted: true }>({ id: string, object: { enum: ['api_key', 'byok_key'] }, deleted: { const: true } });

const REGISTRATION = view<{ readonly object: 'registration'; readonly status: 'accepted'; readonly detail: string }>({ object: named('registration'), status: { const: 'accepted' }, detail: string });

const HEALTH = view<{ readonly status: 'ok'; readonly version: string }>({ status: { const: 'ok' }, version: string });

const READINESS = view<{ readonly status: string; readonly workers: number; readonly checks: unknown; readonly providers: unknown }>({
  status: { enum: ['ready', 'not ready'] },
  workers: { ...count, description: 'processes that serve' },
  checks: { type: 'array', items: view<{ readonly name: string; readonly ok: boolean; readonly detail: string }>({ name: string, ok: flag, detail: string }) },
  providers: {
    type: 'array',
    items: view<{ readonly id: string; readonly operator_key: boolean; readonly health: string; readonly ill: readonly string[] }>({ id: string, operator_key: flag, health: { enum: ['up', 'resting', 'trying', 'down'] }, ill: strings }),
  },
});

const RECEIVED = view<{ readonly received: true }>({ received: { const: true } });

const ONE = {
  ApiKey: KEY, NewApiKey: NEW_KEY, Balance: BALANCE, Recharge: RECHARGE, BillingLog: BILLING_LOG, ByokKey: BYOK_KEY, Model: MODEL, Deleted: DELETED,
  Registration: REGISTRATION, Health: HEALTH, Readiness: READINESS, Received: RECEIVED, Error: ERROR,
} as const;

/** Of the things that come in lists: `ApiKey` in an `ApiKeyList`. */
const LISTED = ['ApiKey', 'Recharge', 'BillingLog', 'ByokKey', 'Model'] as const;

/** Every shape of an answer, by its name in the description. */
export const VIEWS: Readonly<Record<string, Schema>> = {
  ...ONE,
  ...Object.fromEntries(LISTED.map((name) => [`${name}List`, {
    type: 'object',
    required: ['object', 'data', 'has_more', 'next'],
    properties: {
      object: { const: 'list' },
      data: { type: 'array', items: { $ref: `#/components/schemas/${name}` } },
      has_more: flag,
      next: { type: ['string', 'null'], description: 'the `after` of the following page; null on the last' },
    },
  }])),
};

/** The name of a shape. */
export type ViewName = keyof typeof ONE | `${(typeof LISTED)[number]}List`;
