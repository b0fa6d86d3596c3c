/** A refusal as an OpenAI-like provider words it. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const WORDING: Readonly<Record<number, { readonly type: string; readonly code: string; readonly message: string }>> = {
  400: { type: 'invalid_request_error', code: 'invalid_request', message: 'The sandbox refuses this request.' },
  401: { type: 'authentication_error', code: 'invalid_api_key', message: 'The sandbox refuses this key.' },
  402: { type: 'insufficient_balance', code: 'insufficient_balance', message: 'The account at the sandbox is empty.' },
  429: { type: 'rate_limit_error', code: 'rate_limit_exceeded', message: 'Too many requests for the sandbox.' },
  500: { type: 'server_error', code: 'internal_error', message: 'The sandbox has failed.' },
  503: { type: 'server_error', code: 'overloaded', message: 'The sandbox is overloaded.' },
};

/** The refusal of this status; undefined for no status. A 429 asks for one second of rest. */
export function refusalOf(status: number | undefined): Refusal | undefined {
  const error = status === undefined ? undefined : WORDING[status];
  if (status === undefined || error === undefined) return undefined;
  return { status, headers: status === 429 ? { 'retry-after': '1' } : {}, body: { error: { ...error, param: null } } };
}
