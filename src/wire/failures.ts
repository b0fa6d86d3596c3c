import type { FailureClass } from './types.ts';

/** How the providers say no, as a table. Source: facts of the providers, section 5. */

/** A way to fail and its class. All that a row names must fit. */
export interface FailureRow {
  /** Row of `QUIRKS`; left out: any. */
  readonly dialect?: string;
  /** HTTP status, or the first and last of a range. 200: the error came inside a 200. */
  readonly status?: number | readonly [number, number];
  /** Any of the provider's codes and types. */
  readonly code?: RegExp;
  readonly message?: RegExp;
  /** Whether the body said an error in a shape that is known; pages of proxies do not. */
  readonly said?: boolean;
  readonly class: FailureClass;
  /** The account asks too often, or for too much at once: inside a 200, or with another 4xx, it counts as the 429 that it is elsewhere. */
  readonly limit?: true;
  /** The request itself may be at fault, whatever the status says: nothing is held against the provider. */
  readonly doubtful?: true;
  /** The model answers in streams only: the request is good, but for that. */
  readonly onlyStreams?: true;
}

const DEEPSEEK: readonly FailureRow[] = [
  // Its code says invalid_request_error here: only the status tells.
  { dialect: 'deepseek', status: 402, class: 'money' },
  { dialect: 'deepseek', status: 200, message: /^insufficient balance/i, class: 'money' },
  { dialect: 'deepseek', status: 400, message: /maximum context length/i, class: 'too_long' },
  { dialect: 'deepseek', status: 400, message: /^model not exist/i, class: 'gone' },
  { dialect: 'deepseek', status: 400, message: /^content exists risk/i, class: 'policy' },
];

const ZHIPU: readonly FailureRow[] = [
  { dialect: 'zhipu', code: /^(?:100[0-5]|111[0-2]|1121|1220)$/, class: 'key' },
  { dialect: 'zhipu', code: /^(?:1113|1308|1309|131[01]|131[3-9]|132[01])$/, class: 'money' },
  { dialect: 'zhipu', code: /^130[2-4]$/, class: 'retry', limit: true },
  // Said with 429, as a rate limit is: the model is busy for now, which is no outage.
  { dialect: 'zhipu', code: /^(?:1305|1312)$/, class: 'overloaded', limit: true },
  { dialect: 'zhipu', code: /^130[01]$/, class: 'policy' },
  { dialect: 'zhipu', code: /^121[02345]$/, class: 'client' },
  { dialect: 'zhipu', code: /^(?:1211|1221|1222)$/, class: 'gone' },
  { dialect: 'zhipu', code: /^1261$/, class: 'too_long' },
  // An address that it does not know, with code 500 and mostly inside a 200.
  { dialect: 'zhipu', code: /^500$/, message: /^404 not_found/i, class: 'gone' },
  { dialect: 'zhipu', code: /^(?:500|1200|1230|1234)$/, class: 'retry' },
];

const MINIMAX: readonly FailureRow[] = [
  { dialect: 'minimax', code: /^(?:1004|2049)$/, class: 'key' },
  { dialect: 'minimax', code: /^(?:1008|2056)$/, class: 'money' },
  { dialect: 'minimax', code: /^(?:1002|1041|2045)$/, class: 'retry', limit: true },
  { dialect: 'minimax', code: /^(?:1000|1001|1013|1024|1033)$/, class: 'retry' },
  { dialect: 'minimax', code: /^(?:1026|1027)$/, class: 'policy' },
  { dialect: 'minimax', code: /^1039$/, class: 'too_long' },
  // Its code for wrong parameters: only the message tells.
  { dialect: 'minimax', code: /^(?:2013|bad_request_error)$/, message: /context window exceeds limit/i, class: 'too_long' },
  { dialect: 'minimax', code: /^(?:2013|1042)$/, class: 'client' },
  // A plan without this model: the account has money, the model is not there for it.
  { dialect: 'minimax', code: /^2061$/, class: 'gone' },
  { dialect: 'minimax', code: /^authorized_error$/, class: 'key' },
  { dialect: 'minimax', code: /^insufficient_balance_error$/, class: 'money' },
  { dialect: 'minimax', code: /^rate_limit_error$/, class: 'retry', limit: true },
  { dialect: 'minimax', code: /^server_error$/, class: 'retry' },
  { dialect: 'minimax', code: /^overloaded_error$/, class: 'overloaded' },
  { dialect: 'minimax', code: /^unprocessable_entity_error$/, class: 'policy' },
  { dialect: 'minimax', code: /^bad_request_error$/, class: 'client' },
];

const QWEN: readonly FailureRow[] = [
  { dialect: 'qwen', code: /^(?:data_inspection_failed|DataInspectionFailed)$/, class: 'policy' },
  { dialect: 'qwen', code: /^(?:Arrearage|AllocationQuota\.FreeTierOnly|CommodityNotPurchased|PrepaidBillOverdue|PostpaidBillOverdue)$/, class: 'money' },
  // Elsewhere this code is about money; here it is a throttle of one minute.
  { dialect: 'qwen', code: /^(?:insufficient_quota|limit_requests|limit_burst_rate|Throttling.*)$/, class: 'retry', limit: true },
  { dialect: 'qwen', code: /^(?:invalid_parameter_error|invalid_request_error|InvalidParameter)$/, message: /exceed model limit|range of input length/i, class: 'too_long' },
  // Models of its open families, and those that cannot but think.
  { dialect: 'qwen', status: 400, message: /only supports? (?:the )?stream|non-stream/i, class: 'client', onlyStreams: true },
  { dialect: 'qwen', code: /^(?:invalid_parameter_error|InvalidParameter)$/, class: 'client' },
  { dialect: 'qwen', code: /^(?:invalid_api_key|AccessDenied\.Unpurchased|Model\.AccessDenied)$/, class: 'key' },
  { dialect: 'qwen', code: /^(?:model_not_found|model_not_supported)$/, class: 'gone' },
  // By the documentation these two are faults of the request in the dress of the server's.
  { dialect: 'qwen', status: 500, message: /list index out of range|role must be in/i, class: 'retry', doubtful: true },
  { dialect: 'qwen', code: /^(?:internal_error|RequestTimeOut|ModelUnavailable|ModelServingError)$/, class: 'retry' },
];

const KIMI: readonly FailureRow[] = [
  { dialect: 'kimi', code: /^exceeded_current_quota_error$/, class: 'money' },
  { dialect: 'kimi', code: /^engine_overloaded_error$/, class: 'overloaded', limit: true },
  { dialect: 'kimi', code: /^rate_limit_reached_error$/, class: 'retry', limit: true },
  { dialect: 'kimi', code: /^invalid_request_error$/, message: /exceeded model token limit|input token length too long|total message size \d+ exceeds limit/i, class: 'too_long' },
  { dialect: 'kimi', code: /^(?:invalid_authentication_error|incorrect_api_key_error|permission_denied_error)$/, class: 'key' },
  { dialect: 'kimi', code: /^resource_not_found_error$/, class: 'gone' },
  { dialect: 'kimi', code: /^client_closed_request$/, class: 'next' },
  { dialect: 'kimi', code: /^(?:server_error|unexpected_output|server_unavailable)$/, class: 'retry' },
];

/** Codes that mean the same wherever they are used. */
const COMMON_CODES: readonly FailureRow[] = [
  { code: /^(?:content_filter|content_policy_violation|censorship_blocked)$/, class: 'policy' },
  { code: /^context_length_exceeded$/, class: 'too_long' },
  { status: 400, message: /maximum context length/i, class: 'too_long' },
  { code: /^(?:insufficient_quota|billing_hard_limit_reached)$/, class: 'money' },
  { code: /^model_not_found$/, class: 'gone' },
  { code: /^overloaded_error$/, class: 'overloaded' },
];

const STATUSES: readonly FailureRow[] = [
  { status: [300, 399], class: 'next' },
  { status: 401, class: 'key' },
  { status: 402, class: 'money' },
  { status: 404, class: 'gone' },
  { status: 408, class: 'retry' },
  { status: 410, class: 'gone' },
  { status: 413, class: 'too_long' },
  { status: [424, 425], class: 'retry' },
  { status: 429, class: 'retry' },
  { status: 451, class: 'policy' },
  { status: 499, class: 'next' },
  // A page or nothing instead of an error object comes from something that stands before the provider, a proxy or a firewall: no word on
  // request, key or model, and where one prompt set it off, none on the provider's health.
  { status: [400, 498], said: false, class: 'next', doubtful: true },
  { status: 403, class: 'key' },
  { status: 405, class: 'gone' },
  { status: [400, 498], class: 'client' },
  { status: 529, class: 'overloaded' },
  { status: [500, 599], class: 'retry' },
];

/** Types that say no more than a status does; read only where the status was 200. The last comes last: some say it beside all others. */
const INSIDE_200: readonly FailureRow[] = [
  { status: 200, code: /^(?:authentication_error|invalid_api_key)$/, class: 'key' },
  { status: 200, code: /^(?:rate_limit_exceeded|rate_limit_error)$/, class: 'retry', limit: true },
  { status: 200, code: /^(?:server_error|internal_error|internal_server_error|service_unavailable_error|api_error|timeout_error)$/, class: 'retry' },
  { status: 200, code: /^(?:invalid_request_error|bad_request_error|invalid_parameter_error)$/, class: 'client' },
];

/** First fit wins: a provider's own words, words of all, the status, and what is left inside a 200. */
export const FAILURES: readonly FailureRow[] = [
  ...DEEPSEEK, ...ZHIPU, ...MINIMAX, ...QWEN, ...KIMI, ...COMMON_CODES, ...STATUSES, ...INSIDE_200,
];

/** What a provider's refusal says, out of whichever envelope. */
export interface Refusal {
  readonly dialect: string;
  readonly status: number;
  readonly codes: readonly string[];
  readonly message: string;
  readonly said: boolean;
}

const UNKNOWN: FailureRow = { class: 'next' };

/** The row that a refusal fits; what fits none goes to the next provider. zhipu's 429 with code 1113 is `money`. */
export function classify(refusal: Refusal): FailureRow {
  return FAILURES.find((row) => fits(row, refusal)) ?? UNKNOWN;
}

function fits(row: FailureRow, refusal: Refusal): boolean {
  if (row.dialect !== undefined && row.dialect !== refusal.dialect) return false;
  if (row.status !== undefined && !fitsStatus(row.status, refusal.status)) return false;
  const { code, message } = row;
  if (code !== undefined && !refusal.codes.some((word) => code.test(word))) return false;
  if (message !== undefined && !message.test(refusal.message)) return false;
  return row.said === undefined || row.said === refusal.said;
}

function fitsStatus(wanted: number | readonly [number, number], status: number): boolean {
  return typeof wanted === 'number' ? status === wanted : status >= wanted[0] && status <= wanted[1];
}
