import { Fault } from '../faults.ts';
import type { RechargeStatus } from '../ledger/index.ts';
import { readMoment } from '../moments.ts';
import type { Schema } from './form.ts';
import type { Call } from './types.ts';

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

/** One parameter of a query: how it is read, and how it is described. An empty one counts as left out. */
export interface Parameter<T> {
  readonly about: string;
  /** Completes "The query parameter … is …". */
  readonly expects: string;
  readonly schema: Schema;
  /** Undefined: it cannot be that. */
  readonly read: (text: string) => T | undefined;
}

type Parameters = Readonly<Record<string, Parameter<unknown>>>;
type Read<Of> = { readonly [Name in keyof Of]?: Of[Name] extends Parameter<infer T> ? T : never };

const anyText: Omit<Parameter<string>, 'about'> = { expects: 'a text', schema: { type: 'string' }, read: (text) => text };

function oneOf<T extends string>(about: string, values: readonly T[]): Parameter<T> {
  return { about, expects: `one of ${values.join(', ')}`, schema: { type: 'string', enum: values }, read: (text) => values.find((value) => value === text) };
}

/** Read into Unix milliseconds; a day, and a time without an offset, are in UTC. */
function time(about: string): Parameter<number> {
  return {
    about,
    expects: 'Unix seconds, or a day or a time that there is, such as 2026-11-23 or 2026-11-23T10:00:00Z',
    schema: { type: 'string', examples: ['1795392000', '2026-11-23', '2026-11-23T10:00:00Z'] },
    read: (text) => (/^\d{1,12}$/.test(text) ? Number(text) * 1000 : readMoment(text)),
  };
}

/** Of every list that has pages. */
export const PAGE_QUERY = {
  limit: {
    about: 'rows of a page',
    expects: `a whole number from 1 to ${PAGE_MAX}`,
    schema: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT },
    read: (text: string) => (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= PAGE_MAX ? Number(text) : undefined),
  },
  after: { ...anyText, about: 'the `next` of the page before' },
} as const satisfies Parameters;

/** Of `GET /v1/user/billing-logs`. */
export const LOGS_QUERY = {
  from: time('from this time on'),
  to: time('before this time'),
  model: { ...anyText, about: 'the model that served' },
  key_id: { ...anyText, about: 'the API key that asked' },
  mode: oneOf('who paid the provider', ['standard', 'byok'] as const),
  status: { ...anyText, about: '`ok`, `aborted`, `recovered`, or an error\'s code' },
} as const satisfies Parameters;

const RECHARGE_STATUSES: readonly RechargeStatus[] = ['pending', 'paid', 'expired', 'refunded', 'partially_refunded', 'disputed'];

/** Of `GET /v1/user/recharges`. */
export const RECHARGES_QUERY = { status: oneOf('what became of it', RECHARGE_STATUSES) } as const satisfies Parameters;

/** Reads the parameters that a table names; others are passed over. @throws Fault `invalid_request` (400), its `param` the one at fault. */
export function readQuery<Of extends Parameters>({ query }: Pick<Call, 'query'>, table: Of): Read<Of> {
  const values: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(table)) {
    const written = query.get(name);
    if (written === null || written === '') continue;
    const value = parameter.read(written);
    if (value === undefined) throw badQuery(name, parameter.expects);
    values[name] = value;
  }
  return values as Read<Of>;
}

/** `?limit=` (1 to 100, default 20) and `?after=`. @throws Fault `invalid_request` (400). */
export function readPage(call: Pick<Call, 'query'>): { readonly limit: number; readonly after?: string } {
  return { limit: PAGE_DEFAULT, ...readQuery(call, PAGE_QUERY) };
}

/** One page of a list that is at hand as a whole; its cursor is the id of a row. @throws Fault `invalid_request` (400). */
export function cutPage<T extends { readonly id: string }>(call: Pick<Call, 'query'>, all: readonly T[]): { readonly rows: readonly T[]; readonly next: string | undefined } {
  const { limit, after } = readPage(call);
  const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0) throw badQuery('after', PAGE_QUERY.after.about);
  const rows = all.slice(start, start + limit);
  return { rows, next: start + limit < all.length ? rows.at(-1)?.id : undefined };
}

/** The refusal of a query's parameter. */
export function badQuery(name: string, expected: string): Fault {
  return new Fault('invalid_request', { fill: { detail: `The query parameter ${name} is ${expected}.` }, param: name });
}
