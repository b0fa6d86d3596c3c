/** Every refusal that a caller of findtoken can see, once. The HTTP reference and its test read this table. */

interface FaultKind {
  readonly status: number;
  readonly type: string;
  /** Text with `{name}` holes. Says what is wrong, then the mend. */
  readonly text: string;
}

/** Code → HTTP status, OpenAI error type, text. Source: CONTRACT section 2. */
export const FAULTS = {
  invalid_json: { status: 400, type: 'invalid_request_error', text: 'The request body is not valid JSON{detail}.' },
  invalid_request: { status: 400, type: 'invalid_request_error', text: '{detail}' },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', text: '{detail}' },
  content_filter: { status: 400, type: 'invalid_request_error', text: '{provider} declined the request under its content policy. Change the prompt; no other provider was asked.' },
  invalid_api_key: { status: 401, type: 'invalid_request_error', text: 'Incorrect, missing or revoked API key. Send "Authorization: Bearer sk-ft_…"; `findtoken keys create --name NAME` makes a key.' },
  invalid_provider_key: { status: 401, type: 'invalid_request_error', text: '{provider} refused the BYOK key. Check it with `findtoken byok test`, or register a new one; a key of another region looks like a bad key.' },
  insufficient_credits: { status: 402, type: 'insufficient_quota', text: 'Insufficient credits: up to ${need} needed, ${available} available. Recharge with POST /v1/user/credits or `findtoken recharge AMOUNT`.' },
  provider_balance_exhausted: { status: 402, type: 'insufficient_quota', text: 'Your own account at {provider} has no balance left. Top it up there, or use another key.' },
  account_inactive: { status: 403, type: 'permission_error', text: 'This account is {state}. {mend}' },
  origin_not_allowed: { status: 403, type: 'permission_error', text: 'Requests from the web origin {origin} are not allowed. Call from a server, or list the origin in server.cors_origins.' },
  model_not_found: { status: 404, type: 'invalid_request_error', text: 'The model {model} does not exist.{hint} GET /v1/models lists all.' },
  not_found: { status: 404, type: 'invalid_request_error', text: '{detail}' },
  method_not_allowed: { status: 405, type: 'invalid_request_error', text: '{method} is not allowed here; use {allow}.' },
  request_timeout: { status: 408, type: 'invalid_request_error', text: 'The request body did not arrive in time. Send it whole, within {seconds} s.' },
  request_too_large: { status: 413, type: 'invalid_request_error', text: 'The request body is larger than {limit} bytes. Send less, or raise limits.body_bytes.' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error', text: '{detail}' },
  expectation_failed: { status: 417, type: 'invalid_request_error', text: 'The header Expect: {expect} cannot be met. Leave it out, or send 100-continue.' },
  misdirected_request: { status: 421, type: 'invalid_request_error', text: 'The Host header {host} is not one of this server. Use server.public_url, or list the name in server.hosts.' },
  idempotency_conflict: { status: 422, type: 'invalid_request_error', text: '{detail}' },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', text: '{detail}' },
  headers_too_large: { status: 431, type: 'invalid_request_error', text: 'The request headers are larger than {limit}. Send fewer or shorter headers.' },
  internal_error: { status: 500, type: 'api_error', text: 'Something went wrong on our side; nothing was charged. Report the request id {request_id} with the time.' },
  provider_failed: { status: 502, type: 'api_error', text: '{provider} failed in the middle of its answer: {detail}. Nothing was charged; send the request again.' },
  providers_unavailable: { status: 503, type: 'api_error', text: 'No provider could answer for {model}: {tried}' },
  overloaded: { status: 503, type: 'api_error', text: '{detail}' },
  payments_unavailable: { status: 503, type: 'api_error', text: '{detail}' },
  storage_unavailable: { status: 503, type: 'api_error', text: 'The books cannot be written ({detail}); no request is served without them. {mend}' },
} as const satisfies Record<string, FaultKind>;

export type FaultCode = keyof typeof FAULTS;

/** One attempt at a provider, as an error of a chat call shows it. */
export interface AttemptTrace {
  readonly provider: string;
  readonly model: string;
  /** The provider's HTTP status, or 0 where no answer came. */
  readonly status: number;
  /** The outcome's class, such as `retry`, `money` or `too_long`. */
  readonly class: string;
  readonly ms: number;
}

export interface FaultOptions {
  /** What fills the text's `{holes}`. */
  readonly fill?: Readonly<Record<string, string | number>>;
  /** The field of the request that is at fault. */
  readonly param?: string;
  /** Whole seconds for `Retry-After`, clamped to 1…60. */
  readonly retryAfterS?: number;
  /** `false` tells the SDKs not to retry. */
  readonly shouldRetry?: boolean;
  /** Further response headers, such as `Allow`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly attempts?: readonly AttemptTrace[];
  /** What clients of one API look for within an error, to go on without what was refused. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A refusal on its way to the caller. Thrown by any room, turned into an answer at the edge (HTTP) or a line (CLI). */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly attempts: readonly AttemptTrace[] | undefined;
  readonly details: FaultOptions['details'];

  /**
   * @param code a row of `FAULTS`
   * @param options what fills its text; a hole without a filling becomes empty.
   * `new Fault('model_not_found', { fill: { model: 'x' } }).status` is 404.
   */
  constructor(code: FaultCode, options: FaultOptions = {}) {
    const kind: FaultKind = FAULTS[code];
    const fill = options.fill ?? {};
    super(kind.text.replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? '')));
    this.name = 'Fault';
    this.code = code;
    this.status = kind.status;
    this.type = kind.type;
    this.param = options.param ?? null;
    this.attempts = options.attempts;
    this.details = options.details;
    this.headers = faultHeaders(this.status, options);
  }
}

/** OpenAI's error object; chat calls add `metadata`. */
export interface Envelope {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param: string | null;
    readonly details?: FaultOptions['details'];
    readonly metadata?: { readonly request_id: string; readonly attempts: readonly AttemptTrace[] };
  };
}

/**
 * The JSON body of a refusal. `metadata` stands only on faults that carry attempts (chat calls; the list may be empty).
 * `toEnvelope(new Fault('invalid_api_key'), 'req_1').error.code` is `"invalid_api_key"`.
 */
export function toEnvelope(fault: Fault, requestId: string): Envelope {
  const { message, type, code, param, details, attempts } = fault;
  const error = { message, type, code, param, ...(details === undefined ? {} : { details }) };
  return { error: attempts === undefined ? error : { ...error, metadata: { request_id: requestId, attempts } } };
}

/** Some clients give up at once on a 429 or 503 without Retry-After, and wait out any number they are given: 1 to 60. */
function faultHeaders(status: number, options: FaultOptions): Record<string, string> {
  const headers: Record<string, string> = { ...options.headers };
  if (status === 429 || status === 503) {
    headers['retry-after'] = String(Math.min(60, Math.max(1, Math.ceil(options.retryAfterS ?? 1))));
  }
  if (status === 402 || options.shouldRetry === false) headers['x-should-retry'] = 'false';
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  return headers;
}

/** A request that cannot be served as it is, by the client's own fault. @param param the field at fault */
export function invalidRequest(detail: string, param?: string): Fault {
  return new Fault('invalid_request', { fill: { detail }, ...(param === undefined ? {} : { param }) });
}
