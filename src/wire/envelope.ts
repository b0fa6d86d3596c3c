import { classify } from './failures.ts';
import { fieldsOf, isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';
import type { Failure, FailureClass, JsonObject } from './types.ts';

/** An error as a body says it. */
export interface SaidError {
  /** Codes and types, the most telling first. */
  readonly codes: readonly string[];
  readonly message: string;
  /** A status that the body names beside the HTTP one, some as its code. */
  readonly status: number | undefined;
}

const MESSAGE_CHARS_MAX = 1_000;
const CODE_CHARS_MAX = 64;
const RETRY_AFTER_MS_MAX = 3_600_000;

/** What a class stands for as an HTTP status, where the real one was 200. */
const STATUS_OF: Readonly<Record<FailureClass, number>> = {
  retry: 503, overloaded: 503, next: 502, client: 400, key: 401, money: 402, policy: 400, too_long: 400, gone: 404,
};

/**
 * The error in a body or a frame, in whichever of the known envelopes, or undefined: `error` as object or text, `base_resp`
 * with a code other than 0, `error_type`, `code` with `message` or `msg` at the top where there are no choices, and `detail`.
 * No `type` is asked for: some providers send none. Source: facts of the providers, section 5.
 */
export function readError(body: unknown): SaidError | undefined {
  const fields = fieldsOf(body);
  const { error } = fields;
  if (isFields(error) && Object.keys(error).length > 0) return readErrorObject(error);
  if (textOf(error) !== undefined) return said([fields['code']], error, undefined);
  const base = fieldsOf(fields['base_resp']);
  if (codeOf(base['status_code']) !== undefined && Number(base['status_code']) !== 0) return said([base['status_code']], base['status_msg'], undefined);
  if (textOf(fields['error_type']) !== undefined) return said([fields['error_type'], fields['error_code']], fields['error_message'], fields['error_code']);
  if (Array.isArray(fields['choices'])) return undefined;
  const code = codeOf(fields['code']);
  const message = textOf(fields['message']) ?? textOf(fields['msg']);
  if (code === '0' || code === '200') return undefined;
  if (message !== undefined && (code !== undefined || fields['object'] === 'error')) return said([code, fields['type']], message, code);
  const detail = textOf(fields['detail']) ?? firstMessage(fields['detail']);
  return detail === undefined ? undefined : said([], detail, undefined);
}

/** What servers that check a request against a schema send with a 422: `[{ loc: ['body', 'n'], msg: 'too large' }]`. */
function firstMessage(list: unknown): string | undefined {
  return Array.isArray(list) ? textOf(fieldsOf(list[0])['msg']) : undefined;
}

/**
 * A refusal as a failure of the walk. An error inside a 2xx counts with the status its body names, else 429 where it is a rate
 * limit, else the one of its class.
 * @param headers lower-case names; only `retry-after` is read
 */
export function refusalOf(
  error: SaidError | undefined,
  reply: { readonly dialect: string; readonly status: number; readonly headers: Readonly<Record<string, string>> },
): Failure {
  const inside = reply.status >= 200 && reply.status < 300;
  const status = inside ? (error?.status ?? 200) : reply.status;
  const row = classify({ dialect: reply.dialect, status, codes: error?.codes ?? [], message: error?.message ?? '', said: error !== undefined });
  return {
    kind: 'failed',
    class: row.class,
    // Some say a limit with a 400: whatever the number, it is no outage.
    status: row.limit === true && status < 500 ? 429 : status === 200 ? STATUS_OF[row.class] : status,
    providerCode: (error?.codes[0] ?? '').replace(/[^\w.:-]/g, '').slice(0, CODE_CHARS_MAX),
    message: error?.message ?? '',
    retryAfterMs: readRetryAfter(reply.headers['retry-after']),
    maybeServed: false,
    ...(row.doubtful === true ? { doubtful: true } : {}),
    ...(row.onlyStreams === true ? { onlyStreams: true } : {}),
  };
}

/** An answer that is none though nobody said an error: it may well be on the provider's bill, so it is not asked for again there. */
export function brokenAnswer(code: string, kind: FailureClass = 'next'): Failure {
  return { kind: 'failed', class: kind, status: STATUS_OF[kind], providerCode: code, message: '', retryAfterMs: undefined, maybeServed: true };
}

/** A refused prompt or answer that is said by a flag alone: 200, no code, no text. Undefined where no flag is up. */
export function readFlags(body: JsonObject): Failure | undefined {
  const isFlagged = body['input_sensitive'] === true || body['output_sensitive'] === true;
  return isFlagged ? { ...brokenAnswer('sensitive', 'policy'), maybeServed: false } : undefined;
}

function readErrorObject(error: Fields): SaidError {
  const message = textOf(error['message']) ?? textOf(error['msg']) ?? '';
  const inner = /\((\d{4})\)\s*$/.exec(message)?.[1];
  return said([inner, error['code'], error['type']], message, error['http_code'] ?? error['status'] ?? error['code']);
}

function said(codes: readonly unknown[], message: unknown, status: unknown): SaidError {
  const number = Number(codeOf(status) ?? 0);
  return {
    codes: codes.flatMap((code) => codeOf(code) ?? []),
    message: (textOf(message) ?? '').slice(0, MESSAGE_CHARS_MAX),
    status: Number.isInteger(number) && number >= 400 && number <= 599 ? number : undefined,
  };
}

/** Codes come as text and as numbers. */
function codeOf(value: unknown): string | undefined {
  return typeof value === 'number' ? String(value) : textOf(value);
}

/** Seconds only: a date needs a clock. 0 names no time, over a day is no advice, over an hour is an hour. */
function readRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^\s*\d{1,5}(?:\.\d{1,3})?\s*$/.test(value)) return undefined;
  const ms = Math.ceil(Number(value) * 1_000);
  return ms === 0 || ms > 24 * RETRY_AFTER_MS_MAX ? undefined : Math.min(ms, RETRY_AFTER_MS_MAX);
}
