import { setTimeout as wait } from 'node:timers/promises';
import type { RequestView } from '../../accounts/index.ts';
import type { FaultCode } from '../../faults.ts';
import type { Ledger, RequestFilter, RequestRow } from '../../ledger/index.ts';
import type { Call, Verb } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { wrongUsage } from '../failure.ts';
import { readSince, shortTime, timeText } from '../format.ts';
import { AFTER, afterOf, noteMore } from '../paging.ts';
import { jsonText } from '../printable.ts';
import { layOut, renderTable, rowLine, titleLine } from '../table.ts';
import type { Column } from '../table.ts';

const LIMIT = { usual: 20, most: 10_000 };
/** How a request of the books usually ended. A row may bear any code, also one of an older version. */
const STATUSES = [
  'ok', 'aborted', 'recovered', 'providers_unavailable', 'provider_failed', 'provider_balance_exhausted', 'invalid_provider_key', 'invalid_request',
  'context_length_exceeded', 'content_filter', 'overloaded', 'internal_error',
] as const satisfies readonly (FaultCode | 'ok' | 'aborted' | 'recovered')[];
/** What one read asks of the books. */
const PAGE_ROWS = 100;
/** A new row is shown at most this much later. */
const LOOK_EVERY_MS = 250;

const COLUMNS: readonly Column<RequestView>[] = [
  { title: 'time', text: ({ created }) => timeText(created), dropAt: 1, least: 20, brief: { text: ({ created }) => shortTime(created), least: 15 } },
  { title: 'model', text: ({ model }) => model, yieldsTo: 16, least: 14 },
  { title: 'provider', text: ({ provider }) => provider, dropAt: 5, least: 8 },
  { title: 'mode', text: ({ mode }) => mode, dropAt: 6, least: 8 },
  { title: 'status', text: ({ status }) => status, yieldsTo: 12, least: 7 },
  { title: 'in', text: ({ prompt_tokens }) => String(prompt_tokens), right: true, dropAt: 3, least: 6 },
  { title: 'cached', text: ({ cached_tokens }) => String(cached_tokens), right: true, dropAt: 7, least: 6 },
  { title: 'out', text: ({ completion_tokens }) => String(completion_tokens), right: true, dropAt: 2, least: 6 },
  { title: 'cost', text: ({ cost_exact }) => cost_exact, right: true, least: 10 },
  { title: 'ms', text: ({ latency_ms }) => String(latency_ms), right: true, dropAt: 4, least: 6 },
  { title: 'key', text: ({ key_id }) => key_id, dropAt: 9, least: 30 },
  { title: 'id', text: ({ id }) => id, dropAt: 8, least: 30 },
];

export const LOGS: Verb = {
  usage: 'logs',
  about: 'the requests, newest first; of all accounts unless --account names one',
  brief: 'the requests, newest first',
  options: [
    { flags: '--follow', about: 'show the last ones, then each new one as it ends' },
    { flags: '--limit <n>', about: `at most this many (default ${LIMIT.usual})` },
    AFTER,
    { flags: '--model <id>', about: 'only those this model served' },
    { flags: '--key <id>', about: 'only those made with this key' },
    { flags: '--status <status>', about: 'ok, aborted, recovered, or an error code', offers: STATUSES },
    { flags: '--mode <mode>', about: 'only this mode', choices: ['standard', 'byok'] },
    { flags: '--since <span>', about: 'a span such as 2h or 30d, or a day such as 2026-11-01' },
  ],
  examples: ['findtoken logs --since 1h --status providers_unavailable', 'findtoken logs --follow --json | jq .cost_exact'],
  run: logs,
};

async function logs({ context, given }: Call): Promise<void> {
  const limit = given.whole('limit', { least: 1, most: LIMIT.most }) ?? LIMIT.usual;
  if (given.flag('follow') && given.text('after') !== undefined) throw wrongUsage('--follow shows what is to come and --after what has been; leave one out.');
  await context.read(async (books) => {
    const filter = await readFilter({ context, given }, books);
    if (given.flag('follow')) return follow(context, books, filter, limit);
    const { listView, requestView } = await import('../../accounts/index.ts');
    const { rows, next } = await newest(books.ledger, filter, limit, afterOf(given).after);
    const views = rows.map(requestView);
    if (views.length === 0) context.terminal.note('No requests match.');
    context.show(listView(views, next), () => renderTable(views, COLUMNS, context.terminal));
    noteMore(context, next);
  });
}

async function readFilter({ context, given }: Pick<Call, 'context' | 'given'>, books: Books): Promise<RequestFilter> {
  const since = given.text('since');
  const mode = given.text('mode');
  const { resolveAccount } = await import('../../accounts/index.ts');
  const account = context.account === undefined ? undefined : await resolveAccount(books, context.account);
  const [model, keyId, status] = [given.text('model'), given.text('key'), given.text('status')];
  return {
    ...(account === undefined ? {} : { accountId: account.id }),
    ...(since === undefined ? {} : { fromMs: readSince(since, books.nowMs()) }),
    ...(mode === 'standard' || mode === 'byok' ? { mode } : {}),
    ...(model === undefined ? {} : { model }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(status === undefined ? {} : { status }),
  };
}

/** The newest rows, page by page, for one read of the books is a short one. */
async function newest(ledger: Ledger, filter: RequestFilter, limit: number, after?: string): Promise<{ rows: readonly RequestRow[]; next: string | undefined }> {
  const rows: RequestRow[] = [];
  let next = after;
  do {
    const page = await ledger.listRequests(filter, { limit: Math.min(PAGE_ROWS, limit - rows.length), ...(next === undefined ? {} : { after: next }) });
    rows.push(...page.rows);
    next = page.next;
  } while (next !== undefined && rows.length < limit);
  return { rows, next };
}

/** Shows the newest rows, oldest of them first, then each new one; ends when the process does. */
async function follow(context: Context, { ledger }: Books, filter: RequestFilter, limit: number): Promise<void> {
  const { requestView } = await import('../../accounts/index.ts');
  const { terminal, json } = context;
  // The cursor is taken before the first rows: what ends between the two is seen twice, and shown once.
  let { cursor } = await ledger.requestsSince(undefined, filter, 1);
  const first = (await newest(ledger, filter, limit)).rows.map(requestView).reverse();
  const shown = new Set(first.map(({ id }) => id));
  const layout = layOut(first, COLUMNS, terminal);
  const show = (view: RequestView): void => terminal.print(json ? jsonText(view) : rowLine(view, layout));
  if (!json) terminal.print(titleLine(layout));
  for (const view of first) show(view);
  for (;;) {
    const since = await ledger.requestsSince(cursor, filter, PAGE_ROWS);
    for (const view of since.rows.map(requestView)) if (!shown.has(view.id)) show(view);
    cursor = since.cursor;
    if (since.rows.length < PAGE_ROWS) await wait(LOOK_EVERY_MS);
  }
}
