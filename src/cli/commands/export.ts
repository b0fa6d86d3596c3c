import type { RequestRow } from '../../ledger/index.ts';
import { formatUsdExact } from '../../money/index.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import { wrongUsage } from '../failure.ts';

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
  about: 'the requests of a month (2026-11, UTC) as CSV, newest first; of all accounts unless --account names one',
  options: [],
  examples: ['findtoken export 2026-11 > november.csv', 'findtoken export 2026-11 --account ann@example.com'],
  run: exportMonth,
};

async function exportMonth(call: Call): Promise<void> {
  const { context } = call;
  const span = monthSpan(argument(call, 0));
  await context.read(async (books) => {
    const { resolveAccount } = await import('../../accounts/index.ts');
    const account = context.account === undefined ? undefined : await resolveAccount(books, context.account);
    const filter = { ...span, ...(account === undefined ? {} : { accountId: account.id }) };
    context.terminal.print(FIELDS.map(([title]) => title).join(','));
    let after: string | undefined;
    do {
      const page = await books.ledger.listRequests(filter, { limit: PAGE_ROWS, ...(after === undefined ? {} : { after }) });
      for (const row of page.rows) context.terminal.print(FIELDS.map(([, text]) => cell(text(row))).join(','));
      after = page.next;
    } while (after !== undefined);
  });
}

/** "2026-11" is from its 1st, 00:00 UTC, until before the 1st of December. */
function monthSpan(written: string): { readonly fromMs: number; readonly toMs: number } {
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(written) ?? [];
  if (year === undefined || month === undefined) throw wrongUsage(`a month is written like 2026-11, not ${JSON.stringify(written)}.`);
  return { fromMs: Date.UTC(Number(year), Number(month) - 1), toMs: Date.UTC(Number(year), Number(month)) };
}

/** Quoted where it must be (RFC 4180); text that a spreadsheet would take for a formula is marked as text. */
function cell(value: string | number): string {
  const text = String(value);
  const safe = typeof value === 'string' && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
