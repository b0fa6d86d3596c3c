import type { Sync } from './books.ts';
import { createRowsByTime } from './clock-steps.ts';
import type { Connection } from './connection.ts';
import { ORIGINS } from './measures.ts';
import { cursorNo, pageOf } from './pages.ts';
import { big, flag, int, rowOf, rowsOf, text, unless, whole, word, type Row } from './rows.ts';
import type { Ledger, RequestFilter, RequestRow } from './types.ts';

export type HistoryBooks = Sync<Pick<Ledger, 'listRequests' | 'requestsSince' | 'findRequest'>>;

const MODES = ['standard', 'byok'] as const;

const REQUEST = `SELECT r.*, a.id AS account_id FROM requests r JOIN accounts a ON a.no = r.account`;
const OPEN = `SELECT h.*, 'open' AS status, 0 AS cost, 0 AS provider_cost, 0 AS fee, 0 AS shortfall, a.id AS account_id
  FROM holds h JOIN accounts a ON a.no = h.account`;

/**
 * Rows are numbered as they end. A clock may drift back by this much in steps that are not noted, and a request may last so long, without a
 * time filter looking further; `requests_long` of the schema has those that lasted longer.
 */
const SLACK_MS = 3_600_000;

/**
 * A filter may match one row in a million. A page looks at this many of the account's rows and then says where to go on, so
 * that no read is a long one; such a page may be short, even empty, and still have a next.
 */
const LOOKED_AT = 20_000n;

const OF_ACCOUNT = 'r.account = (SELECT no FROM accounts WHERE id = @account)';

type Parameters = Record<string, string | bigint>;

/** The rows of ended requests. Pages go by row number, never by counting rows, so a deep page costs what the first does. */
export function createHistoryBooks(db: Connection): HistoryBooks {
  const find = db.prepare(`${REQUEST} WHERE r.id = ?`);
  const findOpen = db.prepare(`${OPEN} WHERE h.id = ?`);
  const newest = db.prepare('SELECT coalesce(max(seq), 0) FROM requests').pluck();
  const newestLong = db.prepare(`SELECT coalesce(max(seq), -1) FROM (SELECT seq FROM requests
    WHERE ended_ms - created_ms > 3600000 AND seq >= ? AND created_ms < ? ORDER BY seq DESC LIMIT 1)`).pluck();
  const rowsByTime = createRowsByTime(db);
  /** The row number down to which a filtered page looks; undefined where it sees everything there is. */
  const reach = (bounds: readonly string[], { accountId }: RequestFilter, parameters: Parameters): bigint | undefined => {
    const where = [...(accountId === undefined ? [] : [OF_ACCOUNT]), ...bounds].join(' AND ');
    const { before = 0n, least = 0n, most = 0n, account = '' } = parameters;
    const seen = rowOf(db.prepare(`SELECT count(*) AS rows, coalesce(min(seq), 0) AS seq FROM (SELECT r.seq FROM requests r WHERE ${where} ORDER BY r.seq DESC LIMIT @rows)`).get({ before, least, most, account, rows: LOOKED_AT }));
    return seen !== undefined && big(seen, 'rows') === LOOKED_AT ? big(seen, 'seq') : undefined;
  };
  /** The row number below which everything lies that began before a time. */
  const endOf = (toMs: number): bigint => {
    const end = rowsByTime.end(toMs + SLACK_MS);
    const long = newestLong.get(end, whole(toMs));
    return typeof long === 'bigint' && long >= end ? long + 1n : end;
  };
  return {
    findRequest(id) {
      const row = rowOf(find.get(id)) ?? rowOf(findOpen.get(id));
      return row === undefined ? undefined : requestIn(row);
    },
    listRequests(filter, { limit, after }) {
      const { sql, parameters } = conditions(filter);
      const bounds = ['r.seq < @before'];
      parameters['before'] = cursorNo(after);
      // Whatever began after a time ended after it, so the later of two such times bounds the numbers from below.
      const leastMs = Math.max(filter.fromMs ?? -Infinity, filter.ended?.fromMs ?? -Infinity);
      if (leastMs > -Infinity) {
        bounds.push('r.seq >= @least');
        parameters['least'] = rowsByTime.from(leastMs - SLACK_MS);
      }
      const ends = [...(filter.toMs === undefined ? [] : [endOf(filter.toMs)]), ...(filter.ended === undefined ? [] : [rowsByTime.end(filter.ended.toMs + SLACK_MS)])];
      const most = ends.reduce<bigint | undefined>((least, end) => (least === undefined || end < least ? end : least), undefined);
      if (most !== undefined) {
        bounds.push('r.seq < @most');
        parameters['most'] = most;
      }
      const end = isSelective(filter) ? reach(bounds, filter, parameters) : undefined;
      if (end !== undefined) {
        bounds.push('r.seq >= @end');
        parameters['end'] = end;
      }
      const where = [...bounds, ...sql].join(' AND ');
      const found = db.prepare(`${REQUEST} WHERE ${where} ORDER BY r.seq DESC LIMIT @limit`).all({ ...parameters, limit: BigInt(limit) + 1n });
      const page = pageOf(rowsOf(found), limit, requestIn);
      return page.next === undefined && end !== undefined ? { rows: page.rows, next: String(end) } : page;
    },
    requestsSince(cursor, filter, limit) {
      const last = newest.get();
      const end = typeof last === 'bigint' ? last : 0n;
      if (cursor === undefined) return { rows: [], cursor: String(end) };
      const { sql, parameters } = conditions(filter);
      const where = ['r.seq > @since', 'r.seq <= @end', ...sql].join(' AND ');
      const query = `${REQUEST} WHERE ${where} ORDER BY r.seq LIMIT @limit`;
      const rows = rowsOf(db.prepare(query).all({ ...parameters, since: cursorNo(cursor), end, limit: BigInt(limit) }));
      const final = rows.at(-1);
      // A short page has seen everything up to `end`, so what the filter left out is not looked at again.
      const next = rows.length === limit && final !== undefined ? big(final, 'seq') : end;
      return { rows: rows.map(requestIn), cursor: String(next) };
    },
  };
}

/** True where the filter may pass over rows for long; time is bounded by the row numbers already. */
function isSelective({ model, keyId, mode, status }: RequestFilter): boolean {
  return (model ?? keyId ?? mode ?? status) !== undefined;
}

function conditions(filter: RequestFilter): { readonly sql: string[]; readonly parameters: Parameters } {
  const sql: string[] = [];
  const parameters: Parameters = {};
  const where = (condition: string, name: string, value: string | bigint | undefined): void => {
    if (value === undefined) return;
    sql.push(condition);
    parameters[name] = value;
  };
  where(OF_ACCOUNT, 'account', filter.accountId);
  where('r.created_ms >= @from', 'from', filter.fromMs === undefined ? undefined : whole(filter.fromMs));
  where('r.created_ms < @to', 'to', filter.toMs === undefined ? undefined : whole(filter.toMs));
  where('r.ended_ms >= @endedFrom', 'endedFrom', filter.ended === undefined ? undefined : whole(filter.ended.fromMs));
  where('r.ended_ms < @endedTo', 'endedTo', filter.ended === undefined ? undefined : whole(filter.ended.toMs));
  where('r.model = @model', 'model', filter.model);
  where('r.key_id = @key', 'key', filter.keyId);
  where('r.mode = @mode', 'mode', filter.mode);
  where('r.status = @status', 'status', filter.status);
  return { sql, parameters };
}

function requestIn(row: Row): RequestRow {
  return {
    id: text(row, 'id'),
    createdMs: int(row, 'created_ms'),
    accountId: text(row, 'account_id'),
    keyId: text(row, 'key_id'),
    model: text(row, 'model'),
    requestedModel: text(row, 'requested_model'),
    provider: text(row, 'provider'),
    mode: word(row, 'mode', MODES),
    stream: flag(row, 'stream'),
    status: text(row, 'status'),
    promptTokens: int(row, 'prompt_tokens'),
    cachedTokens: int(row, 'cached_tokens'),
    completionTokens: int(row, 'completion_tokens'),
    reasoningTokens: int(row, 'reasoning_tokens'),
    usageOrigin: word(row, 'usage_origin', ORIGINS),
    cost: big(row, 'cost'),
    providerCost: big(row, 'provider_cost'),
    fee: big(row, 'fee'),
    shortfall: big(row, 'shortfall'),
    latencyMs: int(row, 'latency_ms'),
    firstByteMs: unless(int(row, 'first_byte_ms'), -1),
    attempts: int(row, 'attempts'),
  };
}
