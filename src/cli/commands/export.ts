import type { RequestRow } from '../../ledger/index.ts';
import { formatUsdExact } from '../../money/index.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import { counted, readMonth } from '../format.ts';
import { jsonText, printable } from '../printable.ts';

const PAGE_ROWS = 100;

type Field = readonly [title: string, text: (row: RequestRow) => string | number];

/** One line a request, the amounts exact. `cost` is what the account paid: `provider_cost` and `fee`. */
const FIELDS: readonly Field[] = [
  ['id', ({ id }) => id],
  ['time', ({ createdMs }) => new Date(createdMs).toISOString()],
  ['account', ({ accountId }) => accountId],
  ['key_id', ({ keyId }) => keyId],
  ['mode', ({ mode }) => mode],
  ['model', ({ model }) => model],
  ['requested_model', ({ requestedModel }) => requestedModel],
  ['provider', ({ provider }) => provider],
  ['stream', ({ stream }) => String(stream)],
  ['status', ({ status }) => status],
  ['prompt_tokens', ({ promptTokens }) => promptTokens],
  ['cached_tokens', ({ cachedTokens }) => cachedTokens],
  ['completion_tokens', ({ completionTokens }) => completionTokens],
  ['usage_origin', ({ usageOrigin }) => usageOrigin],
  ['cost', ({ cost }) => formatUsdExact(cost)],
  ['provider_cost', ({ providerCost }) => formatUsdExact(providerCost)],
  ['fee', ({ fee }) => formatUsdExact(fee)],
  ['shortfall', ({ shortfall }) => formatUsdExact(shortfall)],
];

/** The books of a month, for a spreadsheet. */
export const EXPORT: Verb = {
  usage: 'export <month>',
  about: 'the requests of a month (2026-11, UTC) as CSV, or as one JSON list, newest first; of all accounts unless --account names one',
  brief: 'the requests of a month as CSV',
  examples: ['findtoken export 2026-11 > november.csv', 'findtoken export 2026-11 --account ann@example.com --json | jq .data'],
  run: exportMonth,
};

async function exportMonth(call: Call): Promise<void> {
  const { context } = call;
  const span = readMonth(argument(call, 0));
  await context.read(async (books) => {
    const door = await import('../../accounts/index.ts');
    const account = context.account === undefined ? undefined : await door.resolveAccount(books, context.account);
    const owner = account === undefined ? {} : { accountId: account.id };
    // By their ends, as a statement and usage go, so that a month that is over changes no more and all three agree.
    const filter = { ended: span, ...owner };
    const { terminal, json } = context;
    // Written as it is read: a month may hold more rows than fit into memory.
    let before = json ? '{"object":"list","data":[' : FIELDS.map(([title]) => title).join(',');
    let after: string | undefined;
    do {
      const page = await books.ledger.listRequests(filter, { limit: PAGE_ROWS, ...(after === undefined ? {} : { after }) });
      for (const row of page.rows) {
        terminal.print(before);
        before = json ? `${jsonText(documentOf(row, door))},` : FIELDS.map(([, text]) => cell(text(row))).join(',');
      }
      after = page.next;
    } while (after !== undefined);
    // Asked for at the end: rows may go while the others are read.
    const removed = await books.ledger.removedRequests({ ...span, ...owner });
    // A comma follows each row but the last, and only the end tells which that is.
    terminal.print(json ? `${before.replace(/,$/, '')}\n],"has_more":false,"next":null,"removed":${jsonText({ requests: removed.requests, cost_exact: formatUsdExact(removed.cost) })}}` : before);
    if (removed.requests > 0) {
      terminal.note(`This is not the whole month: of ${counted(removed.requests, 'request')} that ended in it, $${formatUsdExact(removed.cost)} in all, the rows were removed for their age (database.keep_requests). \`findtoken usage --by day\` has the totals of each day.`);
    }
  });
}

/** One request as `logs --json` has it, and what its books say beyond that. */
function documentOf(row: RequestRow, { requestView }: Pick<typeof import('../../accounts/index.ts'), 'requestView'>): unknown {
  return {
    ...requestView(row),
    account_id: row.accountId,
    usage_origin: row.usageOrigin,
    provider_cost_exact: formatUsdExact(row.providerCost),
    fee_exact: formatUsdExact(row.fee),
    shortfall_exact: formatUsdExact(row.shortfall),
  };
}

/** Quoted where it must be (RFC 4180); text that a spreadsheet would take for a formula is marked as text. */
function cell(value: string | number): string {
  const text = printable(String(value));
  const safe = typeof value === 'string' && /^[=+@-]/.test(text) ? `'${text}` : text;
  return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
